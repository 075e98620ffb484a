"""The gateway's feeds: payments, with what was asked for them and their refunds, balance
transactions, and payouts. Their places have an epoch; CURSOR_OUTDATED says where a restored gateway
goes on."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from gateway.v1.balance_transaction_service_pb2 import (
    WatchBalanceTransactionsRequest,
    WatchBalanceTransactionsResponse,
)
from gateway.v1.payment_pb2 import Payment
from gateway.v1.payment_service_pb2 import (
    GetPaymentRequest,
    WatchPaymentsRequest,
    WatchPaymentsResponse,
)
from gateway.v1.payout_service_pb2 import WatchPayoutsRequest, WatchPayoutsResponse
from runtime.command_failures import of_call
from warehouse.facts import messages as rows_of
from warehouse.facts import tables
from warehouse.facts.rows import BEGINNING, All, Batch, Place, Row, instant

if TYPE_CHECKING:
    from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceAsyncStub
    from gateway.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub
    from gateway.v1.payout_service_pb2_grpc import PayoutServiceAsyncStub

CALL_SECONDS = 60.0
# Payments that are asked about at once.
CALLS_AT_ONCE = 16
# GetPayment tells no more operations and no more refunds of a payment than this.
LISTED_AT_MOST = 100


class PaymentFeed:
    """Changes of payments. What a change does not tell is asked of GetPayment."""

    source = tables.PAYMENTS
    has_epochs = True

    def __init__(
        self,
        stub: "PaymentServiceAsyncStub",
        address: str,
        payments_behind: Callable[[Place], Iterable[str]],
    ) -> None:
        """`payments_behind` answers which payments the warehouse has changes of behind a place."""
        self._stub: Any = stub
        self.address = address
        self._payments_behind = payments_behind

    def watch(self, after: Place) -> Any:
        """The feed after a place."""
        return self._stub.WatchPayments(
            WatchPaymentsRequest(epoch=after.epoch, after_sequence=after.sequence)
        )

    def place_of(self, message: WatchPaymentsResponse) -> tuple[Place, str]:
        """Epoch and sequence are a change's name."""
        return Place(message.epoch, message.sequence), ""

    def place_to_go_back_to(self, told: dict[str, str]) -> Place:
        """What the gateway says leaves nothing out."""
        return Place(int(told["epoch"]), int(told["after_sequence"]))

    async def batch_of(self, messages: Sequence[WatchPaymentsResponse]) -> Batch:
        """The changes, and what GetPayment says of their payments by now."""
        payments = await self._payments({message.payment.id for message in messages})
        last = messages[-1]
        return Batch(
            place=Place(last.epoch, last.sequence),
            rows={
                tables.PAYMENT.name: [
                    rows_of.payment_change(message, _readable(message.payment, payments))
                    for message in messages
                ],
                **_details(payments),
            },
            complete=_complete(payments),
            news_time=instant(messages[0], "record_time"),
        )

    async def batch_of_restore(self, place: Place) -> Batch:
        """Of payments whose changes were lost, what the gateway still has."""
        lost: Iterable[str] = ()
        if place != BEGINNING:
            lost = await asyncio.to_thread(self._payments_behind, place)
        payments = await self._payments(lost)
        return Batch(place, rows=_details(payments), complete=_complete(payments), goes_back=True)

    async def batch_of_payments(self, payment_ids: Iterable[str], place: Place) -> Batch:
        """What GetPayment says of some payments; the place stays."""
        payments = await self._payments(payment_ids)
        return Batch(place, rows=_details(payments), complete=_complete(payments))

    async def _payments(self, payment_ids: Iterable[str]) -> dict[str, Payment | None]:
        """By id; None for what the gateway has not."""
        permits = asyncio.Semaphore(CALLS_AT_ONCE)

        async def get(payment_id: str) -> Payment | None:
            async with permits:
                return await self._payment(payment_id)

        ids = sorted(payment_ids)
        return dict(zip(ids, await asyncio.gather(*map(get, ids)), strict=True))

    async def _payment(self, payment_id: str) -> Payment | None:
        request = GetPaymentRequest(payment_id=payment_id)
        try:
            answer = await self._stub.GetPayment(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise of_call(error, self.address) from None
        payment: Payment = answer.payment
        return payment


def _readable(told: Payment, payments: dict[str, Payment | None]) -> Payment:
    """A change that the gateway cannot read any more has ids alone: the payment as it is."""
    return told if told.state else payments[told.id] or told


def _details(payments: dict[str, Payment | None]) -> dict[str, Sequence[Row]]:
    there = [payment for payment in payments.values() if payment is not None]
    return {
        tables.PAYMENT_OPERATION.name: [
            row for payment in there for row in rows_of.payment_operations(payment)
        ],
        tables.REFUND.name: [rows_of.refund(each) for payment in there for each in payment.refunds],
    }


def _complete(payments: dict[str, Payment | None]) -> Sequence[All]:
    """Of which payments all operations, and all refunds, were told."""
    operations = {key: _ids(payment and payment.operations) for key, payment in payments.items()}
    refunds = {key: _ids(payment and payment.refunds) for key, payment in payments.items()}
    told = ((tables.PAYMENT_OPERATION, operations), (tables.REFUND, refunds))
    return [
        All(
            table,
            frozenset(key for key, ids in by_payment.items() if len(ids) < LISTED_AT_MOST),
            frozenset(each for ids in by_payment.values() for each in ids),
        )
        for table, by_payment in told
    ]


def _ids(told: Any) -> list[str]:
    return [each.id for each in told or ()]


class BalanceTransactionFeed:
    """Changes of balance transactions."""

    source = tables.BALANCE_TRANSACTIONS
    has_epochs = True

    def __init__(self, stub: "BalanceTransactionServiceAsyncStub", address: str) -> None:
        self._stub: Any = stub
        self.address = address

    def watch(self, after: Place) -> Any:
        """The feed after a place."""
        return self._stub.WatchBalanceTransactions(
            WatchBalanceTransactionsRequest(epoch=after.epoch, after_sequence=after.sequence)
        )

    def place_of(self, message: WatchBalanceTransactionsResponse) -> tuple[Place, str]:
        """Epoch and sequence are a change's name."""
        return Place(message.epoch, message.balance_transaction.sequence), ""

    def place_to_go_back_to(self, told: dict[str, str]) -> Place:
        """What the gateway says leaves nothing out."""
        return Place(int(told["epoch"]), int(told["after_sequence"]))

    async def batch_of(self, messages: Sequence[WatchBalanceTransactionsResponse]) -> Batch:
        """The changes."""
        last = messages[-1]
        return Batch(
            place=Place(last.epoch, last.balance_transaction.sequence),
            rows={
                tables.BALANCE_TRANSACTION.name: [
                    rows_of.balance_transaction(message) for message in messages
                ]
            },
            news_time=instant(messages[0].balance_transaction, "record_time"),
        )

    async def batch_of_restore(self, place: Place) -> Batch:
        """What was lost is no more."""
        return Batch(place, goes_back=True)


class PayoutFeed:
    """Changes of payouts, of the platform and of merchants.

    What is kept is how each was, so what a restored gateway has lost cannot be taken out of it: all
    is read once more, from the beginning.
    """

    source = tables.PAYOUTS
    has_epochs = False

    def __init__(self, stub: "PayoutServiceAsyncStub", address: str) -> None:
        self._stub: Any = stub
        self.address = address

    def watch(self, after: Place) -> Any:
        """The feed after a place."""
        return self._stub.WatchPayouts(
            WatchPayoutsRequest(epoch=after.epoch, after_sequence=after.sequence)
        )

    def place_of(self, message: WatchPayoutsResponse) -> tuple[Place, str]:
        """Epoch and sequence are a change's name."""
        return Place(message.epoch, message.sequence), ""

    def place_to_go_back_to(self, _told: dict[str, str]) -> Place:
        """Payouts that were as they were before what was lost are not told again behind it."""
        return BEGINNING

    async def batch_of(self, messages: Sequence[WatchPayoutsResponse]) -> Batch:
        """The payouts, each as it was with its last change among these."""
        last = messages[-1]
        return Batch(
            place=Place(last.epoch, last.sequence),
            rows={tables.PAYOUT.name: [rows_of.payout(message.payout) for message in messages]},
            news_time=instant(messages[0], "record_time"),
        )

    async def batch_of_restore(self, place: Place) -> Batch:
        """Payouts that were lost are no more; those that are still there come again."""
        return Batch(place, complete=[All(tables.PAYOUT, None, frozenset())], goes_back=True)
