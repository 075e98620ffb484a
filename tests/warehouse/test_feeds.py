"""Feeds, lists and the decision log over a socket: everything once, restored services, silence."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from compliance.v1.decision_service_pb2_grpc import DecisionServiceStub
from gateway.v1 import payment_pb2, payout_pb2
from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from gateway.v1.payout_pb2 import PAYOUT_STATE_IN_TRANSIT, PAYOUT_STATE_PAID
from gateway.v1.payout_service_pb2 import ListPayoutsRequest
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from gateway.v1.refund_pb2 import REFUND_STATE_PENDING, REFUND_STATE_SUCCEEDED, Refund
from money.v1.money_pb2 import Money
from reconciliation.v1 import reconciliation_pb2
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from runtime.clock import ManualClock
from runtime.command_failures import CommandError
from tests.ledger.running import START
from tests.waiting import WAIT_SECONDS
from tests.warehouse.fake_engine import FakeEngine, ServedEngine, serving_engine
from tests.warehouse.stores import DuckDbStore
from warehouse.facts import messages, tables
from warehouse.facts.break_feed import BreakFeed
from warehouse.facts.decisions import ChainBrokenError, DecisionLoader
from warehouse.facts.feeds import Feed, FeedLimits, FeedReader
from warehouse.facts.gateway_feeds import BalanceTransactionFeed, PaymentFeed, PayoutFeed
from warehouse.facts.lists import ListSource, ListWalker
from warehouse.facts.rows import Place, instant
from warehouse.sink import LoadRefusedError

# Silence is over soon; whoever waits for rows waits for rows.
LIMITS = FeedLimits(gather_seconds=0.01, quiet_seconds=0.05, known_seconds=WAIT_SECONDS)
EUR = 7_00
AUTHORIZE = payment_pb2.OPERATION_KIND_AUTHORIZE
RUNNING = payment_pb2.OPERATION_STATE_RUNNING
MISSING = reconciliation_pb2.BREAK_KIND_STRIPE_MISSING


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.feeds.FAILS_WITHIN_SECONDS", 0.05)


@pytest.fixture
async def served() -> AsyncIterator[ServedEngine]:
    async with serving_engine(START) as opened:
        yield opened


@pytest.fixture
def engine(served: ServedEngine) -> FakeEngine:
    return served.engine


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> DuckDbStore:
    made = DuckDbStore(tmp_path / "books.duckdb", clock)
    made.sink.prepare()
    made.facts.prepare()
    return made


def payment_feed(served: ServedEngine, store: DuckDbStore) -> PaymentFeed:
    def behind(place: Place) -> list[str]:
        told = {"epoch": place.epoch, "sequence": place.sequence}
        return [key for (key,) in store.facts.read("payments_behind", told)]

    return PaymentFeed(PaymentServiceStub(served.channel), served.address, behind)


async def read_to(
    feed: Feed, store: DuckDbStore, sequence: int, epoch: int = 0, limits: FeedLimits = LIMITS
) -> FeedReader:
    """Follows a feed up to a place, until it is quiet there."""
    reader = FeedReader(feed, store.facts, limits)
    async with asyncio.timeout(WAIT_SECONDS):
        async for is_quiet in reader.follow():
            if is_quiet and reader.read.position.place == Place(epoch, sequence):
                return reader
    raise AssertionError("it goes on for good")


def euros(minor_units: int) -> Money:
    return Money(currency_code="EUR", minor_units=minor_units)


def payment(
    key: str, state: str = "SUCCEEDED", refunds: str = "", operations: str = ""
) -> payment_pb2.Payment:
    """A payment, with a refund and an operation for each letter: a capital one has ended."""
    made = payment_pb2.Payment(
        id=key,
        merchant_id="m_1",
        corridor="us",
        state=payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{state}"),
        amount=euros(EUR),
        amount_captured=euros(EUR if state == "SUCCEEDED" else 0),
        description="Jane Doe, jane@example.com",
        metadata={"name": "Jane Doe"},
    )
    made.create_time.FromDatetime(START)
    made.refunds.extend(
        Refund(
            id=f"ref_{key}_{letter.lower()}",
            payment_id=key,
            state=REFUND_STATE_SUCCEEDED if letter.isupper() else REFUND_STATE_PENDING,
            amount=euros(1),
        )
        for letter in refunds
    )
    for letter in operations:
        operation = made.operations.add(
            id=f"op_{key}_{letter.lower()}", kind=AUTHORIZE, state=RUNNING
        )
        if letter.isupper():
            operation.state = payment_pb2.OPERATION_STATE_SUCCEEDED
            operation.end_time.FromDatetime(START)
    return made


async def test_a_payment_comes_with_all_that_was_asked_for_it(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    engine.change_payment("authorization_started", payment("p1", "AUTHORIZING", operations="a"))
    engine.change_payment("captured", payment("p1", operations="A"))
    bare = payment_pb2.Payment(id="p2", merchant_id="m_1")
    engine.change_payment("refund_started", bare)
    # The gateway cannot read the change any more, but knows the payment.
    engine.as_they_are["p2"] = payment("p2", refunds="aB", operations="A")
    engine.change_payment("captured", payment("p3"))
    del engine.as_they_are["p3"]
    reader = await read_to(payment_feed(served, store), store, 4)
    assert store.rows(
        "SELECT sequence, transition, payment_id, state, amount_minor, record_time = update_time"
        " FROM payment_history ORDER BY sequence"
    ) == [
        (1, "authorization_started", "p1", "AUTHORIZING", EUR, None),
        (2, "captured", "p1", "SUCCEEDED", EUR, None),
        (3, "refund_started", "p2", "SUCCEEDED", EUR, None),
        (4, "captured", "p3", "SUCCEEDED", EUR, None),
    ]
    assert store.rows("SELECT operation_id, state FROM payment_operation ORDER BY 1") == [
        ("op_p1_a", "SUCCEEDED"),
        ("op_p2_a", "SUCCEEDED"),
    ]
    assert store.rows("SELECT refund_id, state, amount_minor FROM refund ORDER BY 1") == [
        ("ref_p2_a", "PENDING", 1),
        ("ref_p2_b", "SUCCEEDED", 1),
    ]
    # A refund may end without a change of its payment: who has one that has not is asked about.
    assert store.facts.read("unfinished_payments", {}) == [("p2",)]
    engine.as_they_are["p2"] = payment("p2", refunds="AB", operations="A")
    feed = payment_feed(served, store)
    await reader.take(await feed.batch_of_payments(["p2"], reader.read.position.place))
    assert store.rows("SELECT state FROM refund") == [("SUCCEEDED",), ("SUCCEEDED",)]
    assert store.facts.read("unfinished_payments", {}) == []


async def test_nothing_personal_is_loaded(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    engine.change_payment("captured", payment("p1", refunds="A", operations="A"))
    told = reconciliation_pb2.Break(
        break_id=1, kind=MISSING, assignee="jane.doe", sentence="Jane Doe"
    )
    engine.break_event(told, "ASSIGNED", client="john.doe", assignee="jane.doe", note="by Jane Doe")
    await read_to(payment_feed(served, store), store, 1)
    stub = ReconciliationServiceStub(served.channel)
    await read_to(BreakFeed(stub, served.address), store, 1)
    everything = "".join(str(store.rows(f"SELECT * FROM {table.name}")) for table in tables.TABLES)
    assert "captured" in everything
    assert "jane" not in everything.lower()
    assert "john" not in everything.lower()
    assert store.rows("SELECT break_id, is_assigned FROM break_event") == [(1, True)]


async def test_reading_goes_on_where_it_ended(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    for number in range(5):
        engine.change_payment("captured", payment(f"p{number}"))
    reader = await read_to(payment_feed(served, store), store, 5)
    assert reader.read.row_count == 5
    # The last message comes once more, and is not taken again.
    again = await read_to(payment_feed(served, store), store, 5)
    assert again.read.row_count == 0
    engine.change_payment("refund_started", payment("p0", refunds="a"))
    last = await read_to(payment_feed(served, store), store, 6)
    assert last.read.row_count == 2
    assert store.rows("SELECT count(*), count(DISTINCT sequence) FROM payment_version") == [(6, 6)]


async def test_what_is_told_twice_is_one_and_what_is_left_out_is_found(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    for number in range(3):
        engine.change_payment("captured", payment(f"p{number}"))
    engine.resends = 2
    await read_to(payment_feed(served, store), store, 3)
    assert store.rows("SELECT count(*), count(DISTINCT sequence) FROM payment_version") == [(3, 3)]
    for number in range(3, 6):
        engine.change_payment("captured", payment(f"p{number}"))
    engine.leaves_out = frozenset({5})
    with pytest.raises(LoadRefusedError, match="change 6 was told after change"):
        await read_to(payment_feed(served, store), store, 6)


async def test_a_bounded_batch_is_a_transaction(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    for number in range(5):
        engine.change_payment("captured", payment(f"p{number}"))
    limits = FeedLimits(batch_messages=2, gather_seconds=0.5, quiet_seconds=0.05)
    await read_to(payment_feed(served, store), store, 5, limits=limits)
    loads = store.rows("SELECT sequence FROM warehouse_load ORDER BY 1")
    assert len(loads) >= 3
    assert all(after - before <= 2 for (before,), (after,) in pairwise(loads))


def current(store: DuckDbStore) -> list[tuple[Any, ...]]:
    return store.rows("SELECT epoch, sequence, payment_id, state FROM payment ORDER BY 1, 2")


async def test_a_gateway_that_was_restored_is_followed_where_it_says(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    engine.change_payment("captured", payment("p1", operations="A"))
    engine.change_payment("captured", payment("p2", operations="A"))
    engine.change_payment("refund_started", payment("p1", refunds="A", operations="AB"))
    engine.change_payment("captured", payment("p3", operations="A"))
    await read_to(payment_feed(served, store), store, 4)
    # Lost: the refund of p1, and p3 altogether. Since then it has as many changes as before.
    engine.payments.restore(kept=2, epoch=70)
    engine.as_they_are["p1"] = payment("p1", operations="A")
    del engine.as_they_are["p3"]
    for number in range(4, 7):
        engine.change_payment("captured", payment(f"p{number}"))
    await read_to(payment_feed(served, store), store, 5, 70)
    wanted = [
        *((0, 1, "p1", "SUCCEEDED"), (0, 2, "p2", "SUCCEEDED")),
        *((70, sequence, f"p{sequence + 1}", "SUCCEEDED") for sequence in range(3, 6)),
    ]
    assert current(store) == wanted
    assert store.rows("SELECT refund_id FROM refund") == []
    assert store.rows("SELECT operation_id FROM payment_operation ORDER BY 1") == [
        *(("op_p1_a",), ("op_p2_a",))
    ]
    # What was lost is there for who asks what was told once.
    assert store.rows("SELECT count(*) FROM payment_version") == [(7,)]
    # Restored again, to before that epoch began: nothing is known of it, and all is read again.
    engine.payments.restore(kept=1, epoch=90, keeps_epochs=0)
    engine.change_payment("captured", payment("p9"))
    await read_to(payment_feed(served, store), store, 2, 90)
    assert current(store) == [(0, 1, "p1", "SUCCEEDED"), (90, 2, "p9", "SUCCEEDED")]
    assert store.rows("SELECT generation, epoch, sequence FROM warehouse_restore ORDER BY 1") == [
        *((1, 0, 2), (2, 0, 0))
    ]


async def test_the_last_change_alone_was_lost(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    for number in (1, 2):
        engine.move(moved(f"txn_{number}"))
    feed = BalanceTransactionFeed(BalanceTransactionServiceStub(served.channel), served.address)
    await read_to(feed, store, 2)
    engine.moved.restore(kept=1, epoch=5)
    engine.move(moved("txn_9"))
    await read_to(feed, store, 2, 5)
    rows = store.rows("SELECT epoch, balance_transaction_id FROM balance_transaction ORDER BY 1")
    assert rows == [(0, "txn_1"), (5, "txn_9")]


def moved(key: str) -> BalanceTransaction:
    return BalanceTransaction(id=key, corridor="us", type="charge", net=euros(5))


async def test_a_feed_that_says_nothing_is_not_taken_for_one_without_news(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.change_payment("captured", payment("p1"))
    await read_to(payment_feed(served, store), store, 1)

    async def silent(self: FakeEngine, request: Any, context: Any) -> Any:
        await asyncio.sleep(WAIT_SECONDS)
        yield

    monkeypatch.setattr(FakeEngine, "_watch", lambda self, *given: silent(self, *given[1:]))
    limits = FeedLimits(gather_seconds=0.01, quiet_seconds=0.05, known_seconds=0.1)
    reader = FeedReader(payment_feed(served, store), store.facts, limits)
    with pytest.raises(CommandError, match="does not tell its last message") as error:
        await reader.catch_up()
    assert error.value.passing
    assert store.rows("SELECT generation FROM warehouse_source") == [(0,)]


def a_break(number: int, **more: Any) -> reconciliation_pb2.Break:
    made = reconciliation_pb2.Break(break_id=number, kind=MISSING, corridor="us", **more)
    made.since_time.FromDatetime(START)
    return made


async def test_breaks_of_a_service_that_was_restored_are_read_again(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    feed = BreakFeed(ReconciliationServiceStub(served.channel), served.address)
    for number in (1, 2, 3):
        engine.break_event(a_break(number, amounts=[euros(number)]), "OPENED")
    await read_to(feed, store, 3)
    assert store.rows("SELECT break_id, amount_minor FROM break_amount ORDER BY 1") == [
        *((1, 1), (2, 2), (3, 3))
    ]
    del engine.events[1:], engine.breaks[2], engine.breaks[3]
    # As many events as before, and others: no cursor is too high, and the last event is another.
    engine.break_event(a_break(4), "OPENED")
    engine.break_event(a_break(1, state=reconciliation_pb2.BREAK_STATE_ENDED), "ENDED")
    await read_to(feed, store, 3)
    stand = "SELECT break_id, is_ended FROM reconciliation_break ORDER BY 1"
    assert store.rows(stand) == [(1, True), (4, False)]
    events = "SELECT sequence, break_id, kind FROM break_event ORDER BY 1"
    assert store.rows(events) == [(1, 1, "OPENED"), (2, 4, "OPENED"), (3, 1, "ENDED")]
    # Fewer than before.
    del engine.events[1:], engine.breaks[4]
    engine.breaks[1] = a_break(1)
    await read_to(feed, store, 1)
    assert store.rows(stand) == [(1, False)]
    assert store.rows(events) == [(1, 1, "OPENED")]


async def test_a_list_is_walked_whole_and_what_it_has_no_longer_is_gone(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    source = ListSource(
        source=tables.PAYOUTS,
        address=served.address,
        table=tables.PAYOUT,
        call=PayoutServiceStub(served.channel).ListPayouts,
        request=lambda: ListPayoutsRequest(page_size=500),
        items=lambda page: page.payouts,
        row=messages.payout,
    )
    walker = ListWalker(source, store.facts)
    assert (await walker.walk()).listed == 0
    engine.payouts = [
        payout_pb2.Payout(id=f"po_{number}", state=PAYOUT_STATE_IN_TRANSIT, amount=euros(-number))
        for number in range(5)
    ]
    walked = await walker.walk()
    assert (walked.listed, walked.row_count) == (5, 5)
    engine.payouts[0].state = PAYOUT_STATE_PAID
    del engine.payouts[3]
    walked = await walker.walk()
    assert (walked.listed, walked.row_count) == (4, 2)
    assert store.rows("SELECT payout_id, state, amount_minor FROM payout ORDER BY 1") == [
        *(("po_0", "PAID", 0), ("po_1", "IN_TRANSIT", -1)),
        *(("po_2", "IN_TRANSIT", -2), ("po_4", "IN_TRANSIT", -4)),
    ]
    assert (await walker.walk()).row_count == 0


def payout(key: str, minor_units: int, state: Any = PAYOUT_STATE_IN_TRANSIT) -> payout_pb2.Payout:
    return payout_pb2.Payout(id=key, state=state, amount=euros(minor_units))


async def test_payouts_are_followed_and_read_again_after_a_restore(
    served: ServedEngine, engine: FakeEngine, store: DuckDbStore
) -> None:
    feed = PayoutFeed(PayoutServiceStub(served.channel), served.address)
    for number in range(3):
        engine.pay_out(payout(f"po_{number}", number))
    await read_to(feed, store, 3)
    engine.pay_out(payout("po_0", 0, PAYOUT_STATE_PAID))
    await read_to(feed, store, 4)
    stand = "SELECT payout_id, state, amount_minor FROM payout ORDER BY 1"
    assert store.rows(stand) == [
        *(("po_0", "PAID", 0), ("po_1", "IN_TRANSIT", 1), ("po_2", "IN_TRANSIT", 2)),
    ]
    # That po_0 was paid is lost, and po_2; what is told behind that has another epoch.
    engine.paid_out.restore(2, 7)
    engine.pay_out(payout("po_3", 3))
    await read_to(feed, store, 3, epoch=7)
    assert store.rows(stand) == [
        *(("po_0", "IN_TRANSIT", 0), ("po_1", "IN_TRANSIT", 1), ("po_3", "IN_TRANSIT", 3)),
    ]
    assert store.rows("SELECT payout_id FROM payout_version WHERE is_gone ORDER BY 1") == [
        *(("po_0",), ("po_1",), ("po_2",))
    ]


def decided(engine: FakeEngine, *references: str) -> None:
    for reference in references:
        engine.decide(verdict=1, reference_id=reference, amount=euros(1))


@pytest.fixture
def decisions(served: ServedEngine, store: DuckDbStore) -> DecisionLoader:
    return DecisionLoader(DecisionServiceStub(served.channel), served.address, store.facts)


def references(store: DuckDbStore) -> list[Any]:
    return [key for (key,) in store.rows("SELECT reference_id FROM decision ORDER BY sequence")]


async def test_decisions_come_in_order_however_many_pages_they_are(
    engine: FakeEngine, store: DuckDbStore, decisions: DecisionLoader
) -> None:
    assert (await decisions.load()).row_count == 0
    given: list[str] = []
    # A page has two: none, a part, a whole, several.
    for many in (1, 1, 2, 3, 0, 7):
        more = [f"r{len(given) + number}" for number in range(many)]
        given += more
        decided(engine, *more)
        assert (await decisions.load()).row_count == many
        assert references(store) == given


async def test_decisions_of_a_log_that_was_restored_are_read_again(
    engine: FakeEngine, store: DuckDbStore, decisions: DecisionLoader
) -> None:
    decided(engine, "a", "b", "c", "d", "e")
    await decisions.load()
    for more in (["x", "y", "z"], ["v", "w", "x", "y", "z"], []):
        del engine.decisions[2:]
        decided(engine, *more)
        await decisions.load()
        assert references(store) == ["a", "b", *more]
    engine.decisions.clear()
    await decisions.load()
    assert references(store) == []


async def test_decisions_that_are_not_chained_are_refused(
    engine: FakeEngine, store: DuckDbStore, decisions: DecisionLoader
) -> None:
    decided(engine, "a", "b")
    await decisions.load()
    decided(engine, "c", "d", "e", "f")
    engine.decisions[3].previous_hash = b"x" * 32
    with pytest.raises(ChainBrokenError, match="decision 4 is not chained to decision 3"):
        await decisions.load()
    del engine.decisions[3]
    with pytest.raises(ChainBrokenError, match="decision 5 is not chained to decision"):
        await decisions.load()


def test_times_are_those_of_messages() -> None:
    told = payment("p1")
    told.create_time.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    assert instant(told, "create_time") == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert instant(told, "update_time") is None
