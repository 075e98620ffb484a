"""Facts in both warehouses: exact, once, as versions; services that were restored; new columns."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.clock import ManualClock
from runtime.command_failures import CommandError
from tests.plugin import NewDatabase
from tests.warehouse.stores import PostgresStore, Store
from warehouse.facts import tables
from warehouse.facts.columns import integer, text
from warehouse.facts.rows import BEGINNING, All, Batch, Place, Position, Row, version
from warehouse.facts.tables import TABLES
from warehouse.sink import AnotherLoadError, LoadRefusedError

WHEN = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
SOURCE = tables.BALANCE_TRANSACTIONS


def moved(sequence: int, epoch: int = 0, **changes: Any) -> Row:
    """A change of a balance transaction."""
    told = {"epoch": epoch, "sequence": sequence, "corridor": "us", "type": "charge"}
    told |= {"balance_transaction_id": f"txn_{sequence}", "currency": "EUR", "net_minor": 5}
    times = {"record_time": WHEN, "stripe_create_time": WHEN}
    return {**told, **times, "state": "EXPLAINED", **changes}


def changes(*rows: Row, place: Place | None = None, goes_back: bool = False) -> Batch:
    last = rows[-1] if rows else None
    if place is None:
        assert last is not None
        place = Place(int(str(last["epoch"])), int(str(last["sequence"])))
    return Batch(place, rows={tables.BALANCE_TRANSACTION.name: rows}, goes_back=goes_back)


def paid(key: str, state: str = "PENDING", amount_minor: int = 7) -> Row:
    """A payout."""
    return version(
        {"payout_id": key, "state": state, "currency": "EUR", "amount_minor": amount_minor}
    )


def payouts(*rows: Row, complete: Sequence[All] = ()) -> Batch:
    return Batch(BEGINNING, rows={tables.PAYOUT.name: rows}, complete=complete)


@pytest.fixture
def ready(store: Store) -> Store:
    store.sink.prepare()
    store.facts.prepare()
    return store


@pytest.fixture
def in_postgres(new_database: NewDatabase, clock: ManualClock) -> Store:
    made = PostgresStore(new_database("empty"), clock)
    made.sink.prepare()
    made.facts.prepare()
    return made


EXTREMES: dict[str, Any] = {
    "net_minor": -(2**63),
    "gross_minor": 2**63 - 1,
    "fee_minor": 9_007_199_254_740_993,
    "reason": 'line\n"quoted" \\ back \t \x01 ü 😀 {} $$ %s',
    "fee_details": '[{"type": "a\\"b", "amount_minor": "9223372036854775807"}]',
    "stripe_create_time": datetime(1, 1, 1, tzinfo=UTC),
    "available_time": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "is_available": False,
    "source_id": None,
}


def test_values_are_what_they_were(ready: Store) -> None:
    ready.facts.take(SOURCE, Position(), changes(moved(1, **EXTREMES)))
    texts = {
        name: f"{name} AT TIME ZONE 'UTC'" if name.endswith("_time") else name for name in EXTREMES
    }
    (row,) = ready.rows(f"SELECT {', '.join(texts.values())} FROM balance_transaction")
    wanted = [
        value.replace(tzinfo=None) if isinstance(value, datetime) else value
        for value in EXTREMES.values()
    ]
    assert list(row) == wanted


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_value_that_does_not_fit_is_refused(ready: Store, value: int) -> None:
    with pytest.raises(LoadRefusedError, match="not as expected"):
        ready.facts.take(SOURCE, Position(), changes(moved(1, net_minor=value)))
    with pytest.raises(LoadRefusedError, match="not as expected"):
        ready.facts.take(SOURCE, Position(), changes(moved(1, currency=None)))
    assert ready.rows("SELECT count(*) FROM balance_transaction_version") == [(0,)]
    assert ready.facts.position(SOURCE) == Position()


def test_a_change_is_a_row_and_the_last_one_holds(ready: Store, clock: ManualClock) -> None:
    first = changes(moved(1), moved(2, balance_transaction_id="txn_1", state="SUSPENSE"))
    position, count = ready.facts.take(SOURCE, Position(), replace(first, news_time=WHEN))
    assert (position, count) == (Position(Place(0, 2), 0, "", 1), 2)
    position, count = ready.facts.take(SOURCE, position, changes(moved(3)))
    assert ready.rows(
        "SELECT balance_transaction_id, state FROM balance_transaction ORDER BY 1"
    ) == [
        ("txn_1", "SUSPENSE"),
        ("txn_3", "EXPLAINED"),
    ]
    assert ready.rows("SELECT sequence FROM balance_transaction_history ORDER BY 1") == [
        *((1,), (2,), (3,))
    ]
    assert ready.rows("SELECT load_number, row_count FROM warehouse_load ORDER BY 1") == [
        *((1, 2), (2, 1))
    ]
    ready.facts.complete(SOURCE, clock.now())
    ((source, sequence),) = ready.rows("SELECT source, sequence FROM warehouse_freshness")
    assert (source, sequence) == (SOURCE, 3)


def test_who_is_not_where_the_last_load_ended_is_refused(ready: Store) -> None:
    position, _ = ready.facts.take(SOURCE, Position(), changes(moved(1)))
    for other in (Position(), replace(position, load_number=2), replace(position, mark="x")):
        with pytest.raises(AnotherLoadError, match="has come first"):
            ready.facts.take(SOURCE, other, changes(moved(2)))
    assert ready.rows("SELECT count(*) FROM balance_transaction_version") == [(1,)]


def test_two_loads_of_a_source_at_once_are_one(in_postgres: Store) -> None:
    store = in_postgres
    with store.facts.load(SOURCE, Position()) as first:
        with pytest.raises(AnotherLoadError, match="under way"):
            store.facts.take(SOURCE, Position(), changes(moved(1)))
        # Another source is another matter.
        assert store.facts.take(tables.PAYOUTS, Position(), payouts(paid("a")))[1] == 1
        assert first.write(changes(moved(1))) == 1


def test_a_version_is_written_when_it_differs(ready: Store) -> None:
    def take(position: Position, *rows: Row, **more: Any) -> tuple[Position, int]:
        return ready.facts.take(tables.PAYOUTS, position, payouts(*rows, **more))

    def stand() -> list[Any]:
        return ready.rows("SELECT payout_id, state FROM payout ORDER BY 1")

    position, count = take(Position(), paid("a"), paid("b"), paid("a", "PAID"))
    # Of one key in one batch the last one counts.
    assert (count, stand()) == (2, [("a", "PAID"), ("b", "PENDING")])
    # Nothing is new: nothing is kept.
    assert take(position, paid("a", "PAID"), paid("b")) == (position, 0)
    position, count = take(position, paid("a", "FAILED"), paid("b"))
    assert (count, stand()) == (1, [("a", "FAILED"), ("b", "PENDING")])
    # As it was before is a change, too.
    position, count = take(position, paid("a", "PAID"))
    assert (count, stand()) == (1, [("a", "PAID"), ("b", "PENDING")])
    everything = All(tables.PAYOUT, None, frozenset({"a"}))
    position, count = take(position, complete=[everything])
    assert (count, stand()) == (1, [("a", "PAID")])
    assert take(position, complete=[everything]) == (position, 0)
    # What comes back is there again.
    position, count = take(position, paid("b"))
    assert (count, stand()) == (1, [("a", "PAID"), ("b", "PENDING")])
    history = ready.rows(
        "SELECT payout_id, state, is_gone FROM payout_version ORDER BY payout_id, load_number"
    )
    assert history == [
        *(("a", "PAID", False), ("a", "FAILED", False), ("a", "PAID", False)),
        *(("b", "PENDING", False), ("b", "PENDING", True), ("b", "PENDING", False)),
    ]


def test_what_a_payment_has_no_longer_is_gone_and_others_stay(ready: Store) -> None:
    def refund(key: str, payment: str) -> Row:
        told = {"refund_id": key, "payment_id": payment, "state": "SUCCEEDED", "currency": "EUR"}
        return version({**told, "amount_minor": 3})

    def told(*keys: str) -> Sequence[All]:
        return [All(tables.REFUND, frozenset({"pay_1"}), frozenset(keys))]

    rows = [refund("r1", "pay_1"), refund("r2", "pay_1"), refund("r3", "pay_2")]
    batch = Batch(BEGINNING, rows={tables.REFUND.name: rows}, complete=told("r1", "r2"))
    position, count = ready.facts.take(tables.PAYMENTS, Position(), batch)
    assert count == 3
    batch = Batch(BEGINNING, rows={tables.REFUND.name: rows[:1]}, complete=told("r1"))
    _, count = ready.facts.take(tables.PAYMENTS, position, batch)
    assert count == 1
    assert ready.rows("SELECT refund_id FROM refund ORDER BY 1") == [("r1",), ("r3",)]


# What a feed does: so many changes come, or its service is restored to a place that is behind.
STEPS: Any = st.lists(
    st.one_of(
        st.tuples(st.just("more"), st.integers(1, 3)),
        st.tuples(st.just("restored"), st.integers(0, 8)),
        st.tuples(st.just("lost epoch"), st.just(0)),
    ),
    min_size=1,
    max_size=7,
)


@given(steps=STEPS)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_holds_is_what_the_service_has(
    in_postgres: Store, steps: list[tuple[str, int]]
) -> None:
    """Against a model: the list of changes that the service has by now. Both warehouses read the
    same view."""
    ready = in_postgres
    for table in ("balance_transaction_version", "warehouse_restore", "warehouse_source"):
        ready.change(f"DELETE FROM {table}")
    ready.change("DELETE FROM warehouse_load")
    has: list[tuple[Place, str]] = []
    position, epoch, number = Position(), 0, 0
    for what, many in steps:
        if what == "more":
            news = []
            for _ in range(many):
                number += 1
                place = Place(epoch, len(has) + 1)
                has.append((place, f"v{number}"))
                news.append(moved(place.sequence, epoch, reason=f"v{number}"))
            position, _ = ready.facts.take(SOURCE, position, changes(*news))
            continue
        keeps = 0 if what == "lost epoch" else min(many, len(has))
        epoch += 1
        # Of an epoch that was lost nothing is known: all that is still there comes again.
        again = has[:2] if what == "lost epoch" else []
        has = has[:2] if what == "lost epoch" else has[:keeps]
        place = has[-1][0] if has and not again else BEGINNING
        back = changes(place=place, goes_back=True)
        position, _ = ready.facts.take(SOURCE, position, back)
        if again:
            rows = [moved(p.sequence, p.epoch, reason=reason) for p, reason in again]
            position, _ = ready.facts.take(SOURCE, position, changes(*rows))
    found = ready.rows(
        "SELECT epoch, sequence, reason FROM balance_transaction_history ORDER BY 1, 2"
    )
    assert found == [(place.epoch, place.sequence, reason) for place, reason in has]


def test_columns_of_a_later_release_are_added(store: Store) -> None:
    store.sink.prepare()
    later = [
        replace(table, columns=(*table.columns, text("word_of_later"), integer("later_minor")))
        for table in TABLES
    ]
    store.facts.prepare()
    position, _ = store.facts.take(SOURCE, Position(), changes(moved(1)))
    store.facts.take(tables.PAYOUTS, Position(), payouts(paid("a")))
    store.facts.prepare(later)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("warehouse.facts.sink.TABLES", tuple(later))
        row = {**moved(2), "word_of_later": "x", "later_minor": 2**63 - 1}
        store.facts.take(SOURCE, position, changes(row))
    assert store.rows(
        "SELECT sequence, net_minor, word_of_later, later_minor FROM balance_transaction ORDER BY 1"
    ) == [(1, 5, None, None), (2, 5, "x", 2**63 - 1)]
    assert store.rows("SELECT payout_id, later_minor FROM payout") == [("a", None)]
    # Once more is nothing, and the release before is told that it is one.
    store.facts.prepare(later)
    with pytest.raises(CommandError, match=r"a newer release has .* word_of_later, later_minor"):
        store.facts.prepare()


def test_a_warehouse_has_no_columns_for_what_is_personal() -> None:
    words = ("name", "email", "note", "description", "metadata", "descriptor", "client", "token")
    columns = {column.name for table in TABLES for column in table.columns}
    # Stripe's id of a credit note is no note, and a table's name is nobody's.
    found = {c for c in columns for word in words if word in c}
    assert found == {"credit_note_id", "table_name"}
    assert {"merchant_id", "customer_id"} <= columns
