"""PayoutService: check, call, answer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import Cursor
from gateway.errors import ERRORS
from gateway.identity import RequestIdentity
from gateway.merchants.commands import AccountFinder
from gateway.numbering import ChangeReader, watch
from gateway.operations.commands import Commands, outcome_of
from gateway.operations.gate import Gate, absent
from gateway.paging import position_of, token_of
from gateway.payments.rendering import money, stamp
from gateway.payouts import store
from gateway.payouts.changes import payout_of
from gateway.payouts.commands import cancellation_rule, creation_rule
from gateway.payouts.domain import Payout, PayoutState
from gateway.payouts.errors import payout_not_found
from gateway.payouts.operations import is_answerable
from gateway.payouts.transactions import MAX_PAGE_SIZE as MAX_TRANSACTIONS
from gateway.payouts.transactions import PayoutTransactions
from gateway.v1 import payout_pb2, payout_service_pb2_grpc
from gateway.v1 import payout_service_pb2 as pb
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
_STATE_PREFIX = "PAYOUT_STATE_"


class PayoutServicer(payout_service_pb2_grpc.PayoutServiceServicer):
    """Sends money to merchants' banks."""

    def __init__(
        self,
        engine: AsyncEngine,
        accounts: AccountFinder,
        commands: Commands,
        gate: Gate,
        transactions: PayoutTransactions,
        changes: ChangeReader,
        notifier: Notifier,
        identity: RequestIdentity,
        clock: Clock,
        *,
        review: timedelta,
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._commands = commands
        self._gate = gate
        self._transactions = transactions
        self._changes = changes
        self._notifier = notifier
        self._identity = identity
        self._clock = clock
        self._review = review
        self._page_tokens = PageTokens(ERRORS)

    async def CreatePayout(
        self, request: pb.CreatePayoutRequest, _context: Any
    ) -> pb.CreatePayoutResponse:
        merchant = await self._accounts.connected(request.merchant_id)
        now = self._clock.now()
        payout = Payout(
            id=self._identity.of("pyo", request),
            request_id=request.request_id,
            merchant_id=merchant.merchant_id,
            corridor=merchant.corridor,
            account_id=merchant.connected_account_id,
            state=PayoutState.CREATING,
            currency=request.amount.currency_code,
            amount_minor=request.amount.minor_units,
            statement_descriptor=request.statement_descriptor,
            create_time=now,
            update_time=now,
        )
        rule = creation_rule(payout, self._review)
        done = await self._commands.run(request, "", rule, answerable=is_answerable)
        made = await self._read(done.subject_id, known=True)
        return pb.CreatePayoutResponse(payout=_message(made))

    async def CancelPayout(
        self, request: pb.CancelPayoutRequest, _context: Any
    ) -> pb.CancelPayoutResponse:
        rule = cancellation_rule(request.payout_id)
        outcome_of(await self._commands.run(request, request.payout_id, rule))
        canceled = await self._read(request.payout_id, known=True)
        return pb.CancelPayoutResponse(payout=_message(canceled))

    async def GetPayout(self, request: pb.GetPayoutRequest, _context: Any) -> pb.GetPayoutResponse:
        return pb.GetPayoutResponse(payout=_message(await self._read(request.payout_id)))

    async def ListPayouts(
        self, request: pb.ListPayoutsRequest, _context: Any
    ) -> pb.ListPayoutsResponse:
        after = position_of(self._page_tokens.decode(request))
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        name = payout_pb2.PayoutState.Name(request.state).removeprefix(_STATE_PREFIX)
        async with self._engine.connect() as connection:
            found = await store.page(
                connection,
                merchant_id=request.merchant_id,
                state=name if request.state else "",
                after=after,
                limit=size + 1,
            )
        response = pb.ListPayoutsResponse(payouts=[_message(item) for item in found[:size]])
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = token_of(
                self._page_tokens, request, last.create_time, last.id
            )
        return response

    async def ListPayoutTransactions(
        self, request: pb.ListPayoutTransactionsRequest, _context: Any
    ) -> pb.ListPayoutTransactionsResponse:
        position = self._page_tokens.decode(request)
        payout = await self._read(request.payout_id)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_TRANSACTIONS)
        listed, next_id = await self._transactions.page(
            payout, str(position[0]) if position else "", size
        )
        response = pb.ListPayoutTransactionsResponse(transactions=listed)
        if next_id:
            response.next_page_token = self._page_tokens.encode(request, [next_id])
        return response

    async def WatchPayouts(
        self, request: pb.WatchPayoutsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchPayoutsResponse]:
        cursor = Cursor(request.epoch, request.after_sequence)
        async for row, epoch in watch(self._changes, self._notifier, cursor):
            yield pb.WatchPayoutsResponse(
                payout=_message(payout_of(row)),
                epoch=epoch,
                sequence=row.sequence,
                record_time=stamp(row.record_time),
            )

    async def _read(self, payout_id: str, *, known: bool = False) -> Payout:
        async with self._engine.connect() as connection:
            payout = await store.get(connection, payout_id)
        if payout is None:
            raise absent(self._gate, payout_not_found(payout_id), known=known)
        return payout


def _message(payout: Payout) -> payout_pb2.Payout:
    return payout_pb2.Payout(
        id=payout.id,
        request_id=payout.request_id,
        merchant_id=payout.merchant_id,
        connected_account_id=payout.account_id,
        state=payout_pb2.PayoutState.Value(_STATE_PREFIX + payout.state),
        amount=money(payout.currency, payout.amount_minor),
        automatic=payout.automatic,
        stripe_payout_id=payout.stripe_payout_id,
        failure_code=payout.failure_code,
        arrival_time=stamp(payout.arrival_time),
        create_time=stamp(payout.create_time),
        update_time=stamp(payout.update_time),
        stripe_create_time=stamp(payout.stripe_create_time),
        method=payout.method,
        source_type=payout.source_type,
        destination_type=payout.destination_type,
        destination_id=payout.destination_id,
        reconciliation_status=payout.reconciliation_status,
        trace_id_status=payout.trace_id_status,
        trace_id=payout.trace_id,
        original_payout_id=payout.original_payout_id,
        reversed_by_payout_id=payout.reversed_by_payout_id,
        corridor=payout.corridor,
        statement_descriptor=payout.statement_descriptor,
        was_paid=payout.was_paid,
        return_time=stamp(payout.return_time),
        balance_transaction_id=payout.balance_transaction_id,
        failure_balance_transaction_id=payout.failure_balance_transaction_id,
        primary_payout_id=payout.primary_payout_id,
        content_complete=payout.content_complete,
    )
