"""What the ledger and the gateway tell becomes items, and becomes the same when it comes again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest

from gateway.epochs import Cursor
from gateway.epochs import cursor_outdated as gateway_outdated
from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_EXPLAINED,
    BALANCE_TRANSACTION_STATE_MISSING,
    BalanceTransaction,
)
from gateway.v1.balance_transaction_service_pb2 import WatchBalanceTransactionsResponse
from gateway.v1.payout_pb2 import (
    PAYOUT_STATE_BLOCKED,
    PAYOUT_STATE_CANCELED,
    PAYOUT_STATE_CREATING,
    PAYOUT_STATE_FAILED,
    PAYOUT_STATE_IN_REVIEW,
    PAYOUT_STATE_IN_TRANSIT,
    PAYOUT_STATE_PAID,
    PAYOUT_STATE_PENDING,
    Payout,
    PayoutState,
)
from gateway.v1.payout_service_pb2 import WatchPayoutsResponse
from ledger.errors import cursor_outdated as ledger_outdated
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT, Direction
from ledger.v1.entry_pb2 import ENTRY_EFFECT_HOLD, ENTRY_EFFECT_POST, Entry, EntryEffect
from ledger.v1.transaction_pb2 import Transaction
from ledger.v1.transaction_reads_pb2 import WatchTransactionsResponse
from money.v1.money_pb2 import Money
from reconciliation.items.intake import Intake, cursor_of
from reconciliation.items.source import ItemSource
from reconciliation.matching.item import Content, Leg, Source, State, takes_part
from reconciliation.sources import payouts, stripe_items
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.ledger import LedgerSource, items_of
from reconciliation.sources.stripe_items import balance_transaction_item
from runtime.errors import ServiceError
from runtime.feeds import place_after_restore
from runtime.notifier import Notifier
from runtime.tasks import cancel
from sandbox.polling import poll
from tests.reconciliation.books import Books

DETAILS = "grpc-status-details-bin"
WHEN = datetime(2026, 3, 1, 23, 59, 59, 5, tzinfo=UTC)


def entry(
    account: str,
    minor: int,
    direction: Direction.ValueType,
    effect: EntryEffect.ValueType = ENTRY_EFFECT_POST,
    currency: str = "EUR",
) -> Entry:
    amount = Money(currency_code=currency, minor_units=minor)
    return Entry(account=account, amount=amount, direction=direction, effect=effect)


def transaction(*entries: Entry, sequence: int = 7, **metadata: str) -> Transaction:
    made = Transaction(
        sequence=sequence, request_id="refund.re_1", entries=entries, metadata=metadata
    )
    made.effective_time.FromDatetime(WHEN)
    return made


def moved(sequence: int = 3, **changes: Any) -> BalanceTransaction:
    fields: dict[str, Any] = {
        "id": "txn_1",
        "corridor": "us",
        "type": "charge",
        "net": Money(currency_code="EUR", minor_units=970),
        "source_id": "ch_1",
        "source_type": "charge",
        "stripe_payout_id": "po_1",
        "state": BALANCE_TRANSACTION_STATE_EXPLAINED,
    }
    made = BalanceTransaction(sequence=sequence, **(fields | changes))
    made.stripe_create_time.FromDatetime(WHEN)
    return made


def test_a_transaction_is_what_it_does_to_the_balance_at_stripe() -> None:
    [item] = items_of(
        transaction(
            entry("us/eur/stripe/pending", 1_000, DIRECTION_CREDIT),
            entry("us/eur/stripe/available", 30, DIRECTION_DEBIT),
            entry("us/eur/merchants/m_1/refunds", 970, DIRECTION_DEBIT),
            refund_id="re_1",
            charge_id="ch_1",
            payment_id="pay_1",
            merchant_id="m_1",
            hold_id="op_1",
            fact="refund_created",
        )
    )
    assert (item.source, item.corridor, item.key) == (Source.LEDGER, "us", "refund.re_1:EUR")
    assert (item.currency, item.amount_minor) == ("EUR", -970)
    assert (item.instant, item.book_date) == (WHEN, WHEN.date())
    assert item.tokens == {"re_1", "ch_1"}
    assert item.revision == 7


def test_each_corridor_and_currency_has_its_item() -> None:
    items = items_of(
        transaction(
            entry("us/eur/stripe/pending", 10, DIRECTION_CREDIT),
            entry("us/usd/stripe/pending", 11, DIRECTION_DEBIT, currency="USD"),
            entry("eu/eur/stripe/pending", 12, DIRECTION_DEBIT),
        )
    )
    assert [(i.corridor, i.currency, i.amount_minor) for i in items] == [
        ("eu", "EUR", 12),
        ("us", "EUR", -10),
        ("us", "USD", 11),
    ]


def test_an_adjustment_is_what_it_does_to_the_bank_too() -> None:
    entries = [
        entry("us/eur/bank", 15, DIRECTION_CREDIT),
        entry("us/eur/fees", 15, DIRECTION_DEBIT),
        entry("us/usd/bank", 9, DIRECTION_DEBIT, currency="USD"),
        entry("us/usd/bank", 9, DIRECTION_CREDIT, currency="USD"),
        entry("us/eur/bank", 1, DIRECTION_DEBIT, ENTRY_EFFECT_HOLD),
        entry("us/eur/bank/x", 1, DIRECTION_DEBIT),
    ]
    [item] = items_of(transaction(*entries, kind="reconciliation.adjustment", adjusts_id="t"))
    assert (item.source, item.corridor, item.key) == (Source.ADJUSTMENT, "us", "refund.re_1:EUR")
    assert (item.currency, item.amount_minor) == ("EUR", -15)
    assert item.tokens == {"t"}
    assert item.fee_minor is None
    assert list(items_of(transaction(*entries, kind="payout_paid", payout_id="po_1"))) == []
    assert takes_part(Leg.BANKED, item)
    assert not takes_part(Leg.BOOKED, item)


@pytest.mark.parametrize(
    "entries",
    [
        [
            entry("us/eur/stripe/pending", 5, DIRECTION_CREDIT),
            entry("us/eur/stripe/available", 5, DIRECTION_DEBIT),
        ],
        [entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT, ENTRY_EFFECT_HOLD)],
        [entry("us/eur/bank", 5, DIRECTION_DEBIT)],
        [entry("us/eur/merchants/stripe/payable", 5, DIRECTION_DEBIT)],
        [entry("stripe", 5, DIRECTION_DEBIT)],
    ],
    ids=["within", "held", "bank", "a merchant of that name", "no path"],
)
def test_what_changes_no_balance_at_stripe_is_no_item(entries: list[Entry]) -> None:
    assert list(items_of(transaction(*entries, charge_id="ch_1"))) == []


def test_what_was_booked_again_elsewhere_is_the_same() -> None:
    one = transaction(entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT), sequence=7)
    other = transaction(entry("us/eur/stripe/pending", 5, DIRECTION_DEBIT), sequence=9)
    other.entries[0].balance_after.version = 4
    other.record_time.FromDatetime(WHEN)
    [before], [after] = items_of(one), items_of(other)
    assert (before.id, before.sha256) == (after.id, after.sha256)
    other.entries[0].amount.minor_units = 6
    [changed] = items_of(other)
    assert changed.sha256 != before.sha256


def test_a_balance_transaction_is_its_net() -> None:
    item = balance_transaction_item(moved(), epoch=2)
    assert (item.source, item.corridor, item.key) == (Source.STRIPE, "us", "txn_1")
    assert (item.currency, item.amount_minor) == ("EUR", 970)
    assert (item.instant, item.book_date) == (WHEN, WHEN.date())
    assert item.tokens == {"txn_1", "ch_1"}
    assert (item.group, item.state) == ("po_1", State.BOOKED)
    # What is told after a restore comes after all that was told before.
    assert item.revision > balance_transaction_item(moved(sequence=2**39), epoch=1).revision


def test_a_payout_is_no_part_of_its_content_and_what_is_missing_takes_no_part() -> None:
    itself: dict[str, Any] = {"type": "payout", "source_type": "payout", "source_id": "po_1"}
    assert balance_transaction_item(moved(**itself), 0).group == ""
    # What came back of one, and a manual one, are content of the payout that Stripe makes next.
    for type_ in ("payout", "payout_failure", "payout_cancel"):
        assert balance_transaction_item(moved(**itself | {"type": type_}), 0).group == ""
        later = balance_transaction_item(
            moved(**itself | {"type": type_, "stripe_payout_id": "po_2"}), 0
        )
        assert later.group == "po_2"
    assert balance_transaction_item(moved(source_id=""), 0).tokens == {"txn_1"}
    gone = balance_transaction_item(moved(state=BALANCE_TRANSACTION_STATE_MISSING), 0)
    assert gone.state is State.PENDING


def paid_out(**changes: Any) -> Payout:
    """A payout of Stripe's schedule."""
    fields: dict[str, Any] = {
        "id": "pyo_1",
        "stripe_payout_id": "po_1",
        "corridor": "us",
        "state": PAYOUT_STATE_PAID,
        "amount": Money(currency_code="EUR", minor_units=970),
        "automatic": True,
        "method": "standard",
        "reconciliation_status": "completed",
        "content_complete": True,
        "trace_id": "REF1",
    }
    made = Payout(**(fields | changes))
    made.stripe_create_time.FromDatetime(WHEN)
    made.arrival_time.FromDatetime(WHEN + timedelta(days=2))
    return made


def test_a_payout_is_what_it_brings_to_the_bank() -> None:
    item = stripe_items.payout_item(paid_out(), revision=7)
    assert (item.source, item.corridor, item.key) == (Source.PAYOUT, "us", "po_1")
    assert (item.currency, item.amount_minor) == ("EUR", 970)
    # It is booked on the day on which it is to arrive.
    assert (item.instant, item.book_date) == (WHEN, date(2026, 3, 3))
    assert item.tokens == {"po_1", "REF1"}
    assert (item.group, item.state, item.content) == ("", State.BOOKED, Content.COMPLETE)
    assert item.revision == 7
    # A debit of the bank is below zero; a reference that is too long for one is none.
    taken = Money(currency_code="EUR", minor_units=-970)
    negative = stripe_items.payout_item(paid_out(amount=taken, trace_id="R" * 129), 8)
    assert negative.amount_minor == -970
    assert negative.tokens == {"po_1"}
    assert stripe_items.payout_item(paid_out(trace_id="R" * 128), 8).tokens == {"po_1", "R" * 128}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (PAYOUT_STATE_PENDING, State.BOOKED),
        (PAYOUT_STATE_IN_TRANSIT, State.BOOKED),
        (PAYOUT_STATE_FAILED, State.RETURNED),
        (PAYOUT_STATE_CANCELED, State.RETURNED),
    ],
)
def test_a_payout_counts_from_the_start_and_owes_nothing_once_it_came_back(
    state: PayoutState.ValueType, expected: State
) -> None:
    assert stripe_items.payout_item(paid_out(state=state), 1).state is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"content_complete": False}, Content.IN_PROGRESS),
        ({"content_complete": False, "reconciliation_status": "in_progress"}, Content.IN_PROGRESS),
        ({"automatic": False, "reconciliation_status": "not_applicable"}, Content.NONE),
        ({"automatic": False}, Content.NONE),
        ({"method": "instant", "content_complete": False}, Content.NONE),
        ({"reconciliation_status": "not_applicable"}, Content.NONE),
        # Of a part of a split payout the primary one has all content.
        ({"primary_payout_id": "po_0"}, Content.NONE),
    ],
)
def test_content_is_known_when_the_gateway_has_read_it(
    changes: dict[str, Any], expected: Content
) -> None:
    item = stripe_items.payout_item(paid_out(**changes), 1)
    assert item.content is expected
    assert item.group == changes.get("primary_payout_id", "")
    assert takes_part(Leg.CONTENT, item) == (expected is not Content.NONE or bool(item.group))


def test_merchants_payouts_and_those_that_stripe_does_not_have_are_no_items() -> None:
    assert stripe_items.is_ours(paid_out())
    assert not stripe_items.is_ours(paid_out(connected_account_id="acct_1"))
    for state in (PAYOUT_STATE_CREATING, PAYOUT_STATE_IN_REVIEW, PAYOUT_STATE_BLOCKED):
        assert not stripe_items.is_ours(paid_out(state=state))
    for field in ("stripe_create_time", "arrival_time"):
        partial = paid_out()
        partial.ClearField(field)
        assert not stripe_items.is_ours(partial)


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
