"""What the ledger and the gateway tell becomes items, and becomes the same when it comes again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from gateway.epochs import Cursor
from gateway.epochs import cursor_outdated as gateway_outdated
from gateway.v1.balance_transaction_service_pb2 import WatchBalanceTransactionsResponse
from gateway.v1.payout_service_pb2 import WatchPayoutsResponse
from ledger.errors import cursor_outdated as ledger_outdated
from ledger.v1.direction_pb2 import DIRECTION_DEBIT
from ledger.v1.transaction_reads_pb2 import WatchTransactionsResponse
from money.v1.money_pb2 import Money
from reconciliation.items.intake import Intake, cursor_of
from reconciliation.items.source import ItemSource
from reconciliation.sources import payouts
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.ledger import LedgerSource
from runtime.errors import ServiceError
from runtime.feeds import place_after_restore
from runtime.notifier import Notifier
from runtime.tasks import cancel
from sandbox.polling import poll
from tests.reconciliation.books import Books
from tests.reconciliation.test_item_rules import entry, moved, paid_out, transaction

DETAILS = "grpc-status-details-bin"


async def test_payouts_are_followed_and_what_is_learned_of_them_adds_up(books: Books) -> None:
    stub = Stub(
        Feed(
            WatchPayoutsResponse(payout=paid_out(trace_id=""), epoch=1, sequence=3),
            WatchPayoutsResponse(
                payout=paid_out(connected_account_id="acct_1"), epoch=1, sequence=4
            ),
            WatchPayoutsResponse(payout=paid_out(), epoch=1, sequence=5),
        )
    )
    source = payouts.PayoutSource(stub)  # type: ignore[arg-type]
    async with following(books, source) as cursor:
        await poll(cursor, lambda place: place == "1:5")
    assert await books.rows("SELECT key, tokens FROM item ORDER BY ordinal") == [
        ("po_1", ["po_1"]),
        ("po_1", ["REF1", "po_1"]),
    ]
    source.watch("1:5")
    begun, went_on = stub.requests
    assert (begun.epoch, begun.after_sequence) == (0, 0)
    assert (went_on.epoch, went_on.after_sequence) == (1, 5)
    assert source.cursor_after_restore({"epoch": "2", "after_sequence": "40"}) == "2:40"


class Feed:
    """A streaming call that tells some messages and then is quiet, or ends with an error."""

    def __init__(self, *told: Any, error: Exception | None = None) -> None:
        self.told = list(told)
        self.error = error
        self.cancelled = False

    async def read(self) -> Any:
        if self.told:
            return self.told.pop(0)
        if self.error is not None:
            raise self.error
        return await asyncio.Event().wait()

    def cancel(self) -> None:
        self.cancelled = True


class Stub:
    """Both services; each call is the next of some feeds."""

    def __init__(self, *feeds: Feed) -> None:
        self.feeds = list(feeds)
        self.requests: list[Any] = []

    def WatchTransactions(self, request: Any) -> Feed:
        self.requests.append(request)
        return self.feeds[min(len(self.requests), len(self.feeds)) - 1]

    WatchBalanceTransactions = WatchTransactions
    WatchPayouts = WatchTransactions


def messages_of_the_ledger() -> list[WatchTransactionsResponse]:
    return [
        WatchTransactionsResponse(
            transactions=[transaction(entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT))],
            through_sequence=7,
            through_leaf_hash=b"\x01" * 32,
        ),
        WatchTransactionsResponse(through_sequence=9, through_leaf_hash=b"\x02" * 32),
    ]


def ended(code: grpc.StatusCode, error: ServiceError | None = None) -> Exception:
    """How a call ends for its caller, with what our services say of it."""
    told = [] if error is None else [(DETAILS, error.to_status().SerializeToString())]
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*told), details="over")


@asynccontextmanager
async def following(books: Books, source: ItemSource) -> AsyncIterator[Callable[[], Any]]:
    """An intake at work; gives what reads its cursor."""
    loop = Intake(books.engine, source, Notifier(), books.clock).loop()

    async def cursor() -> str:
        async with books.engine.connect() as connection:
            return await cursor_of(connection, source.name)

    running = asyncio.create_task(loop.run())
    try:
        yield cursor
    finally:
        await cancel(running)


async def test_the_ledger_is_followed_from_a_leaf(books: Books) -> None:
    feed = Feed(*messages_of_the_ledger())
    stub = Stub(feed)
    source = LedgerSource(stub, "payments")  # type: ignore[arg-type]
    async with following(books, source) as cursor:
        await poll(cursor, lambda place: place == f"9:{'02' * 32}")
        assert await books.rows("SELECT amount_minor FROM item") == [(5,)]
    assert feed.cancelled
    source.watch(f"9:{'02' * 32}")
    begun, went_on = stub.requests
    assert (begun.ledger, begun.after_sequence, begun.after_leaf_hash) == ("payments", 0, b"")
    assert (went_on.after_sequence, went_on.after_leaf_hash) == (9, b"\x02" * 32)


async def test_balance_transactions_are_followed_from_a_change(books: Books) -> None:
    stub = Stub(
        Feed(
            WatchBalanceTransactionsResponse(balance_transaction=moved(sequence=3), epoch=1),
            WatchBalanceTransactionsResponse(
                balance_transaction=moved(sequence=4, id="txn_2", net=Money(currency_code="EUR")),
                epoch=1,
            ),
        )
    )
    source = BalanceTransactionSource(stub)  # type: ignore[arg-type]
    async with following(books, source) as cursor:
        await poll(cursor, lambda place: place == "1:4")
    # A movement of nothing has nothing to compare.
    assert await books.rows("SELECT key FROM item") == [("txn_1",)]
    source.watch("1:4")
    begun, went_on = stub.requests
    assert (begun.epoch, begun.after_sequence) == (0, 0)
    assert (went_on.epoch, went_on.after_sequence) == (1, 4)


async def test_a_ledger_that_was_restored_is_read_anew_and_has_the_same_items(books: Books) -> None:
    behind = Feed(
        *messages_of_the_ledger(),
        error=ended(grpc.StatusCode.FAILED_PRECONDITION, ledger_outdated(9)),
    )
    elsewhere = messages_of_the_ledger()[0]
    elsewhere.transactions[0].sequence = elsewhere.through_sequence = 12
    stub = Stub(behind, Feed(elsewhere))
    source = LedgerSource(stub, "payments")  # type: ignore[arg-type]
    async with following(books, source) as cursor:
        await poll(cursor, lambda place: place.startswith("12:"))
    assert [request.after_sequence for request in stub.requests] == [0, 0]
    assert await books.rows("SELECT DISTINCT item_id FROM item") == [(1,)]


def test_a_gateway_that_was_restored_says_where_its_feed_goes_on() -> None:
    restored = ended(
        grpc.StatusCode.FAILED_PRECONDITION, gateway_outdated(Cursor(epoch=2, sequence=40))
    )
    assert isinstance(restored, grpc.aio.AioRpcError)
    source = BalanceTransactionSource(Stub())  # type: ignore[arg-type]
    assert source.cursor_after_restore(place_after_restore(restored)) == "2:40"


@pytest.mark.parametrize(
    "broken",
    [Feed(grpc.aio.EOF), Feed(error=ended(grpc.StatusCode.UNAVAILABLE))],
    ids=["ended", "away"],
)
async def test_a_feed_that_breaks_is_followed_anew(books: Books, broken: Feed) -> None:
    stub = Stub(broken, Feed(*messages_of_the_ledger()))
    source = LedgerSource(stub, "payments")  # type: ignore[arg-type]
    async with following(books, source) as cursor:
        await poll(cursor, lambda place: place.startswith("9:"))
    assert broken.cancelled
