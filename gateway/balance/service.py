"""BalanceTransactionService: check, call, answer."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Row

from gateway.balance.balances import BalanceReader
from gateway.balance.changes import ChangeStore, Filters
from gateway.bookkeeping.facts import StripeBalance
from gateway.epochs import Cursor
from gateway.errors import ERRORS
from gateway.numbering import watch
from gateway.payments.rendering import money, stamp
from gateway.v1 import (
    balance_pb2,
    balance_transaction_pb2,
    balance_transaction_service_pb2_grpc,
)
from gateway.v1 import balance_transaction_service_pb2 as pb
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
PAYMENTS_BALANCE = "payments"
_STATE_PREFIX = "BALANCE_TRANSACTION_STATE_"


class BalanceTransactionServicer(
    balance_transaction_service_pb2_grpc.BalanceTransactionServiceServicer
):
    """What moved on the platform's balances at Stripe."""

    def __init__(self, store: ChangeStore, balances: BalanceReader, notifier: Notifier) -> None:
        self._store = store
        self._balances = balances
        self._notifier = notifier
        self._page_tokens = PageTokens(ERRORS)

    async def ListBalanceTransactions(
        self, request: pb.ListBalanceTransactionsRequest, _context: Any
    ) -> pb.ListBalanceTransactionsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        filters = Filters(
            corridor=request.corridor,
            currency=request.currency_code,
            type=request.type,
            stripe_payout_id=request.stripe_payout_id,
            created_from=_time(request, "created_from"),
            created_until=_time(request, "created_until"),
        )
        after = int(position[0]) if position else 0
        found = await self._store.page(filters, after, size + 1)
        page = found[:size]
        response = pb.ListBalanceTransactionsResponse(
            balance_transactions=[_message(row) for row in page]
        )
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [page[-1].first_sequence])
        return response

    async def ListBalances(
        self, request: pb.ListBalancesRequest, _context: Any
    ) -> pb.ListBalancesResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        after = tuple(str(part) for part in position) if position else None
        found = await self._balances.page(request.corridor, request.currency_code, after, size + 1)
        response = pb.ListBalancesResponse(balances=[_balance(row) for row in found[:size]])
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = self._page_tokens.encode(
                request, [last.corridor, last.currency, last.part]
            )
        return response

    async def WatchBalanceTransactions(
        self, request: pb.WatchBalanceTransactionsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchBalanceTransactionsResponse]:
        cursor = Cursor(request.epoch, request.after_sequence)
        async for row, epoch in watch(self._store, self._notifier, cursor):
            yield pb.WatchBalanceTransactionsResponse(
                balance_transaction=_message(row), epoch=epoch
            )


def _message(row: Row[Any]) -> balance_transaction_pb2.BalanceTransaction:
    """A balance transaction as it was with a change. What a release before did not keep stays
    unset."""
    currency = row.currency
    part = StripeBalance(row.part)
    message = balance_transaction_pb2.BalanceTransaction(
        id=row.id,
        corridor=row.corridor,
        type=row.type,
        reporting_category=row.reporting_category or "",
        fee_details=[
            balance_transaction_pb2.BalanceTransactionFee(
                type=detail["type"],
                amount=money(detail["currency"], detail["amount_minor"]),
                application_id=detail["application_id"],
            )
            for detail in row.fee_details or ()
        ],
        net=money(currency, row.net_minor),
        exchange_rate=row.exchange_rate or "",
        source_id=row.source_id,
        source_type=row.source_type or "",
        stripe_payout_id=row.stripe_payout_id,
        balance_type=PAYMENTS_BALANCE if part.is_of_payments else part.value,
        available=part is not StripeBalance.PENDING,
        stripe_create_time=stamp(row.create_time),
        available_time=stamp(row.available_time),
        payment_id=row.payment_id,
        merchant_id=row.merchant_id,
        state=balance_transaction_pb2.BalanceTransactionState.Value(_STATE_PREFIX + row.state),
        reason=row.reason,
        sequence=row.sequence,
        record_time=stamp(row.record_time),
    )
    if row.amount_minor is not None:
        message.amount.CopyFrom(money(currency, row.amount_minor))
        message.fee.CopyFrom(money(currency, row.fee_minor))
    return message


def _balance(row: Row[Any]) -> balance_pb2.Balance:
    return balance_pb2.Balance(
        corridor=row.corridor,
        part=row.part,
        at_stripe=money(row.currency, row.stripe_minor),
        balance_transactions=money(row.currency, row.sum_minor),
        differing_sweeps=row.differing_sweeps,
        differs_since=stamp(row.differs_since),
        sweep_time=stamp(row.sweep_time),
    )


def _time(request: Message, field: str) -> datetime | None:
    if not request.HasField(field):
        return None
    time: datetime = getattr(request, field).ToDatetime(UTC)
    return time
