"""Finance's views, in both warehouses, against what was worked out by hand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.warehouse.stores import Store
from warehouse.facts import tables
from warehouse.facts.columns import Kind, Table
from warehouse.facts.rows import BEGINNING, Batch, Place, Position, Row, json_of, version

APRIL_30 = datetime(2026, 4, 30, 23, 59, 59, tzinfo=UTC)
MAY_1 = datetime(2026, 5, 1, tzinfo=UTC)
JULY_2 = datetime(2026, 7, 2, 8, tzinfo=UTC)


@pytest.fixture
def ready(store: Store) -> Store:
    store.sink.prepare()
    store.facts.prepare()
    return store


def given(store: Store, table: Table, rows: Sequence[Row]) -> None:
    """Rows of one table, as its source would bring them."""
    if table.kind is Kind.CHANGES:
        rows = [{"epoch": 0, "sequence": n + 1, **row} for n, row in enumerate(rows)]
        place = Place(0, len(rows))
    else:
        rows, place = [version(row) for row in rows], BEGINNING
    store.facts.take(table.source, Position(), Batch(place, rows={table.name: rows}))


def moved(
    number: int,
    category: str,
    gross: int,
    fee: int = 0,
    when: datetime = MAY_1,
    **more: Any,
) -> Row:
    """A balance transaction, whose fee is one part of Stripe's."""
    parts = [{"type": "stripe_fee", "currency": "EUR", "amount_minor": str(fee)}] if fee else []
    told = {"corridor": "us", "balance_transaction_id": f"txn_{number}", "type": category}
    told |= {"reporting_category": category, "currency": "EUR", "state": "EXPLAINED"}
    return {
        **told,
        "gross_minor": gross,
        "fee_minor": fee,
        "net_minor": gross - fee,
        "fee_details": json_of([{**part, "application_id": ""} for part in parts]),
        "stripe_create_time": when,
        "record_time": when,
        **more,
    }


MOVED = [
    moved(1, "charge", 100_00, 3_20, stripe_payout_id="po_1"),
    moved(2, "charge", 50_00, 1_70, APRIL_30, stripe_payout_id="po_1"),
    moved(3, "refund", -20_00, 0, stripe_payout_id="po_1"),
    moved(4, "dispute", -50_00, 15_00, stripe_payout_id="po_1"),
    moved(5, "fee", -2_00, 0, type="stripe_fee", stripe_payout_id="po_1"),
    moved(6, "payout", -58_10, 0, source_id="po_1", stripe_payout_id="po_1"),
    moved(7, "topup", 5_00, 0),
    moved(8, "charge", 9_99, 0, state="MISSING"),
    # Of an old release, which kept no amount.
    moved(9, "charge", 0, 0, corridor="de", gross_minor=None, fee_minor=None, net_minor=7),
]


def entry(
    sequence: int, index: int, account: str, direction: str, amount: int, when: datetime
) -> str:
    instant = f"'{when.isoformat()}'"
    return (
        "INSERT INTO ledger_entry (ledger, sequence, entry_index, account, currency, direction,"
        " effect, amount_minor, record_time, effective_time) VALUES ('main',"
        f" {sequence}, {index}, '{account}', 'EUR', '{direction}', 'POST', {amount}, {instant},"
        f" {instant})"
    )


def booked(
    store: Store, sequence: int, debit: str, credit: str, amount: int, when: datetime
) -> None:
    """A transaction of the ledger."""
    store.change(
        "INSERT INTO ledger_transaction (ledger, sequence, kind, record_time, effective_time,"
        f" request_id, leaf) VALUES ('main', {sequence}, 'DIRECT', '{when.isoformat()}',"
        f" '{when.isoformat()}', 'x.{sequence}', '')"
    )
    store.change(entry(sequence, 0, f"us/eur/{debit}", "DEBIT", amount, when))
    store.change(entry(sequence, 1, f"us/eur/{credit}", "CREDIT", amount, when))


def ask(store: Store, view: str, order: str, columns: Sequence[str]) -> list[Mapping[str, Any]]:
    rows = store.rows(f"SELECT {', '.join(columns)} FROM {view} ORDER BY {order}")
    # A total is a whole number of 64 bits, and nothing that a client would make a float of.
    assert all(type(value) is not float for row in rows for value in row)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_daily_cash_and_fees(ready: Store) -> None:
    given(ready, tables.BALANCE_TRANSACTION, MOVED)
    booked(ready, 1, "bank", "payouts_in_transit", 58_10, MAY_1 + timedelta(days=2))
    columns: tuple[str, ...] = (
        *("book_day", "corridor", "charged_minor", "refunded_minor", "disputed_minor"),
        *("other_minor", "fees_minor", "paid_out_minor", "stripe_net_minor", "bank_in_minor"),
    )
    found = [tuple(row.values()) for row in ask(ready, "daily_cash", "1, 2", columns)]
    assert found == [
        (date(2026, 4, 30), "us", 50_00, 0, 0, 0, -1_70, 0, 48_30, 0),
        (date(2026, 5, 1), "de", 7, 0, 0, 0, 0, 0, 7, 0),
        (date(2026, 5, 1), "us", 100_00, -20_00, -50_00, 5_00, -20_20, -58_10, -43_30, 0),
        (date(2026, 5, 3), "us", 0, 0, 0, 0, 0, 0, 0, 58_10),
    ]
    # What came of each day is what moved.
    assert all(sum(row[2:8]) == row[8] for row in found)
    columns = ("book_month", "kind", "fee_count", "fees_minor")
    fees = [tuple(row.values()) for row in ask(ready, "fees_by_kind", "1, 2", columns)]
    assert fees == [
        (date(2026, 4, 1), "stripe_fee", 1, 1_70),
        (date(2026, 5, 1), "fee", 1, 2_00),
        (date(2026, 5, 1), "stripe_fee", 2, 18_20),
    ]


def test_a_total_that_does_not_fit_is_an_error(ready: Store) -> None:
    most = 2**63 - 1
    given(ready, tables.BALANCE_TRANSACTION, [moved(1, "charge", most), moved(2, "charge", 1)])
    with pytest.raises(Exception, match=r"out of range|Out of Range|Conversion"):
        ready.rows("SELECT charged_minor FROM daily_cash")
    ready.change("DELETE FROM balance_transaction_version WHERE sequence = 2")
    assert ready.rows("SELECT charged_minor FROM daily_cash") == [(most,)]


def payment(key: str, captured: int, when: datetime) -> Row:
    told = {"payment_id": key, "transition": "captured", "corridor": "us", "currency": "EUR"}
    return {**told, "amount_captured_minor": captured, "create_time": when, "record_time": when}


def test_refunds_and_disputes_by_the_month_of_their_payment(ready: Store) -> None:
    given(
        ready,
        tables.PAYMENT,
        [
            payment("p1", 10_00, APRIL_30),
            payment("p2", 20_00, APRIL_30),
            payment("p3", 40_00, MAY_1),
            payment("p4", 0, MAY_1),
        ],
    )

    def refund(key: str, payment_id: str, amount: int, when: datetime, state: str) -> Row:
        told = {"refund_id": key, "payment_id": payment_id, "state": state, "currency": "EUR"}
        return version({**told, "amount_minor": amount, "create_time": when})

    refunds = [
        refund("r1", "p1", 1_00, MAY_1, "SUCCEEDED"),
        refund("r2", "p2", 2_00, JULY_2, "SUCCEEDED"),
        refund("r3", "p2", 3_00, JULY_2, "SUCCEEDED"),
        refund("r4", "p3", 4_00, MAY_1, "SUCCEEDED"),
        refund("r5", "p3", 5_00, MAY_1, "FAILED"),
    ]
    position = ready.facts.position(tables.PAYMENTS)
    batch = Batch(position.place, rows={tables.REFUND.name: refunds})
    ready.facts.take(tables.PAYMENTS, position, batch)

    def dispute(key: str, payment_id: str, amount: int, state: str) -> Row:
        told = {"dispute_id": key, "payment_id": payment_id, "state": state, "currency": "EUR"}
        return {**told, "amount_minor": amount, "effective_time": JULY_2}

    given(
        ready,
        tables.DISPUTE,
        [
            dispute("d1", "p1", 10_00, "LOST"),
            dispute("d2", "p2", 20_00, "WON"),
            dispute("d3", "p2", 7_00, "NEEDS_RESPONSE"),
            dispute("d4", "p3", 40_00, "WARNING_NEEDS_RESPONSE"),
        ],
    )
    april, may = date(2026, 4, 1), date(2026, 5, 1)
    columns: tuple[str, ...] = ("cohort_month", "captured_count", "captured_minor")
    cohorts = [tuple(row.values()) for row in ask(ready, "payment_cohort", "1", columns)]
    assert cohorts == [(april, 2, 30_00), (may, 1, 40_00)]
    columns = ("cohort_month", "months_after", "refund_count", "refunded_minor")
    found = [tuple(row.values()) for row in ask(ready, "refund_cohort", "1, 2", columns)]
    assert found == [(april, 1, 1, 1_00), (april, 3, 2, 5_00), (may, 0, 1, 4_00)]
    columns = (
        *("cohort_month", "months_after", "dispute_count", "disputed_minor"),
        *("won_minor", "lost_minor"),
    )
    found = [tuple(row.values()) for row in ask(ready, "dispute_cohort", "1, 2", columns)]
    assert found == [(april, 3, 3, 37_00, 20_00, 10_00)]


def allocation(source: str, key: str, amount: int) -> Mapping[str, str]:
    told = {"source": source, "corridor": "us", "key": key, "currency": "EUR"}
    return {**told, "amount_minor": str(amount)}


def test_the_bridge_from_charges_to_the_bank(ready: Store) -> None:
    given(ready, tables.BALANCE_TRANSACTION, MOVED)
    told: Row = {"currency": "EUR", "corridor": "us", "state": "PAID", "arrival_time": MAY_1}
    given(
        ready,
        tables.PAYOUT,
        [
            {**told, "payout_id": "a", "stripe_payout_id": "po_1", "amount_minor": 58_10},
            {**told, "payout_id": "b", "stripe_payout_id": "po_2", "amount_minor": 9},
            # A merchant's own money, and one that Stripe never had.
            {
                **told,
                "payout_id": "c",
                "stripe_payout_id": "po_3",
                "amount_minor": 1,
                "connected_account_id": "acct_1",
            },
            {**told, "payout_id": "d", "amount_minor": 1},
        ],
    )

    def match(number: int, leg: str, key: str, amount: int, revoke_time: datetime | None) -> Row:
        items = [allocation("PAYOUT", key, amount), allocation("BANK", f"line {key}", amount)]
        return {
            "match_id": number,
            "leg": leg,
            "rule": "REFERENCE",
            "is_by_person": False,
            "allocations": json_of(items),
            "revoke_time": revoke_time,
        }

    given(
        ready,
        tables.MATCH,
        [
            match(1, "BANKED", "po_1", 58_10, None),
            match(2, "BANKED", "po_2", 9, MAY_1),
            match(3, "CONTENT", "po_2", 9, None),
        ],
    )
    columns = (
        *("payout_id", "charged_minor", "fees_minor", "refunded_minor", "disputed_minor"),
        *("other_minor", "content_minor", "payout_minor", "unexplained_minor", "bank_minor"),
    )
    found = [tuple(row.values()) for row in ask(ready, "payout_bridge", "1", columns)]
    assert found == [
        ("a", 150_00, -21_90, -20_00, -50_00, 0, 58_10, 58_10, 0, 58_10),
        ("b", None, None, None, None, None, None, 9, None, 0),
    ]


def test_open_breaks_by_kind_and_age(ready: Store) -> None:
    now = datetime.now(UTC)

    def wrong(number: int, kind: str, days: float, amounts: Sequence[int], *, ended: bool) -> Row:
        since = now - timedelta(days=days)
        return {
            "break_id": number,
            "kind": kind,
            "is_ended": ended,
            "is_assigned": False,
            "corridor": "us",
            "amounts": json_of([{"currency": "EUR", "amount_minor": str(a)} for a in amounts]),
            "items": json_of([{"source": "BANK", "corridor": "us", "key": f"k{number}"}]),
            "since_time": since,
            "due_time": since + timedelta(days=2),
            "overdue_time": since + timedelta(days=10),
        }

    given(
        ready,
        tables.BREAK,
        [
            wrong(1, "CONTENT_SUM", 0.5, [5], ended=False),
            wrong(2, "CONTENT_SUM", 2.5, [-7], ended=False),
            wrong(3, "CONTENT_SUM", 2.5, [2**62], ended=False),
            wrong(4, "CONTENT_SUM", 40, [1], ended=True),
            wrong(5, "FEED_STALE", 40, [], ended=False),
        ],
    )
    columns = ("kind", "state", "age", "currency", "break_count", "amount_minor")
    found = [tuple(row.values()) for row in ask(ready, "open_break", "1, 3", columns)]
    assert found == [
        ("CONTENT_SUM", "EXPECTED", "0: less than a day", "EUR", 1, 5),
        ("CONTENT_SUM", "DUE", "1: less than 3 days", "EUR", 2, 2**62 - 7),
        ("FEED_STALE", "OVERDUE", "4: 30 days and more", None, 1, None),
    ]
    assert ready.rows("SELECT key FROM break_item WHERE break_id = 3") == [("k3",)]


def test_what_stripe_moved_and_what_is_booked_day_by_day(ready: Store) -> None:
    given(ready, tables.BALANCE_TRANSACTION, MOVED[:3])
    # Booked a day late, in two parts of Stripe's balance; the refund is not booked at all.
    booked(ready, 1, "stripe/pending", "merchants/m/payable", 100_00, MAY_1)
    booked(ready, 2, "fees", "stripe/pending", 3_20, MAY_1)
    booked(ready, 3, "stripe/available", "merchants/m/payable", 48_30, MAY_1)
    booked(ready, 4, "stripe/available", "stripe/pending", 96_80, MAY_1 + timedelta(days=1))
    columns = (
        *("book_day", "stripe_minor", "ledger_minor", "difference_minor"),
        "running_difference_minor",
    )
    found = [tuple(row.values()) for row in ask(ready, "booked_by_day", "1", columns)]
    assert found == [
        (date(2026, 4, 30), 48_30, 0, 48_30, 48_30),
        (date(2026, 5, 1), 76_80, 145_10, -68_30, -20_00),
        (date(2026, 5, 2), 0, 0, 0, -20_00),
    ]


def test_reasons_of_decisions_are_rows(ready: Store) -> None:
    reasons = [{"code": "LIST_AGING", "verdict": "ALLOW", "approved": False}]
    decision = {"decision_id": "d1", "verdict": "ALLOW", "hash": "aa", "previous_hash": "00"}
    given(ready, tables.DECISION, [{**decision, "reasons": json_of(reasons)}])
    found = ready.rows("SELECT decision_id, code, verdict, approved FROM decision_reason")
    assert found == [("d1", "LIST_AGING", "ALLOW", False)]
