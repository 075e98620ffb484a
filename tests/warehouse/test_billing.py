"""Billing in both warehouses: what the feed tells, once, and recurring revenue as worked out by
hand."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.v1.billing_pb2 import (
    CreditNote,
    Invoice,
    InvoicePayment,
    Subscription,
    SubscriptionItem,
)
from gateway.v1.billing_service_pb2_grpc import BillingServiceStub
from money.v1.money_pb2 import Money
from runtime.clock import ManualClock
from tests.warehouse.fake_engine import serving_engine
from tests.warehouse.stores import Store
from warehouse.facts import tables
from warehouse.facts.billing_feed import BillingFeed
from warehouse.facts.feeds import FeedLimits, FeedReader
from warehouse.facts.rows import Batch, Place, Position, Row, json_of

QUICK = FeedLimits(gather_seconds=0.01, quiet_seconds=0.2)


@pytest.fixture
def ready(store: Store) -> Store:
    store.sink.prepare()
    store.facts.prepare()
    return store


def eur(minor_units: int) -> Money:
    return Money(currency_code="EUR", minor_units=minor_units)


async def test_what_the_feed_tells_is_there_once(ready: Store, clock: ManualClock) -> None:
    most = 2**63 - 1
    async with serving_engine(clock.now()) as served:
        engine = served.engine
        draft = Invoice(id="in_1", corridor="us", status="draft", subtotal=eur(9), total=eur(most))
        engine.bill(invoice=draft)
        item = SubscriptionItem(id="si_1", interval="year", interval_count=2, amount=eur(most))
        engine.bill(
            subscription=Subscription(
                id="sub_1", corridor="us", status="active", currency_code="EUR", items=[item]
            )
        )
        feed = BillingFeed(BillingServiceStub(served.channel), served.address)
        await FeedReader(feed, ready.facts, QUICK).catch_up()
        draft.status = "paid"
        engine.bill(invoice=draft)
        engine.bill(
            invoice_payment=InvoicePayment(
                id="inpay_1",
                corridor="us",
                status="paid",
                invoice_id="in_1",
                payment_intent_id="pi_1",
                amount_requested=eur(9),
                amount_paid=eur(9),
            )
        )
        note = CreditNote(id="cn_1", corridor="us", status="issued", invoice_id="in_1")
        note.total.CopyFrom(eur(3))
        note.refund_ids.append("re_1")
        engine.bill(credit_note=note)
        # A kind of a later release has its place, and no row.
        engine.bill()
        for _ in range(2):
            read = await FeedReader(feed, ready.facts, QUICK).catch_up()
    assert read.position.place == Place(0, 6)
    assert ready.rows(
        "SELECT status, total_minor, tax_minor FROM invoice_history ORDER BY sequence"
    ) == [
        ("draft", most, None),
        ("paid", most, None),
    ]
    assert ready.rows("SELECT invoice_id, status, currency FROM invoice") == [
        ("in_1", "paid", "EUR")
    ]
    assert ready.rows(
        "SELECT invoice_id, stripe_payment_intent_id, amount_paid_minor FROM invoice_payment"
    ) == [("in_1", "pi_1", 9)]
    assert ready.rows("SELECT invoice_id, total_minor, refund_ids FROM credit_note") == [
        ("in_1", 3, '["re_1"]')
    ]
    assert ready.rows(
        "SELECT subscription_id, item_id, period_unit, period_count, amount_minor"
        " FROM subscription_item_history"
    ) == [("sub_1", "si_1", "year", 2, most)]


def on(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def item(amount: int | None, unit: str, count: int = 1) -> dict[str, str | None]:
    told = {"id": "si", "price_id": "price", "product_id": "prod", "usage_type": "licensed"}
    amount_minor = None if amount is None else str(amount)
    period = {"period_unit": unit, "period_count": str(count), "quantity": "1"}
    return {**told, **period, "amount_minor": amount_minor}


def subscription(
    key: str, known: datetime, *items: dict[str, str | None], **more: Any
) -> dict[str, Any]:
    told = {"corridor": "us", "subscription_id": key, "status": "active", "currency": "EUR"}
    return {**told, "items": json_of(items), "record_time": known, "start_time": known, **more}


def given(store: Store, rows: list[dict[str, Any]]) -> None:
    ordered = sorted(rows, key=lambda row: row["record_time"])
    told: list[Row] = [{"epoch": 0, "sequence": n + 1, **row} for n, row in enumerate(ordered)]
    batch = Batch(Place(0, len(told)), rows={tables.SUBSCRIPTION.name: told})
    store.facts.take(tables.BILLING, Position(), batch)


def revenue(store: Store) -> dict[tuple[str, date], tuple[int, int]]:
    rows = store.rows(
        "SELECT currency, book_month, subscription_count, mrr_minor FROM mrr"
        " WHERE book_month <= DATE '2026-05-01'"
    )
    assert all(type(row[3]) is int for row in rows)
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def test_recurring_revenue_is_what_runs_at_the_end_of_each_month(ready: Store) -> None:
    monthly = item(10_00, "month")
    given(
        ready,
        [
            # It changes its price in March.
            subscription("sub_plain", on(1, 15), monthly),
            subscription("sub_plain", on(3, 31), item(20_00, "month"), start_time=on(1, 15)),
            # From midnight on: not of January.
            subscription("sub_midnight", on(2, 1), monthly),
            # A trial until March.
            subscription(
                "sub_trial", on(2, 3), monthly, status="trialing", trial_end_time=on(3, 10)
            ),
            subscription(
                "sub_trial", on(3, 10), monthly, start_time=on(2, 3), trial_end_time=on(3, 10)
            ),
            # Not collected in March.
            subscription("sub_paused", on(1, 2), monthly),
            subscription(
                "sub_paused", on(3, 5), monthly, start_time=on(1, 2), pause_behavior="void"
            ),
            subscription("sub_paused", on(4, 5), monthly, start_time=on(1, 2)),
            # Known only after it had ended.
            subscription(
                *("sub_gone", on(5, 9), monthly),
                status="canceled",
                start_time=on(1, 1),
                end_time=on(3, 20),
            ),
            # Behind with its payment, which counts, and then given up.
            subscription("sub_late", on(4, 2), monthly, status="past_due"),
            subscription("sub_late", on(5, 2), monthly, start_time=on(4, 2), status="unpaid"),
            # Never begun, or without a price that is known before.
            subscription("sub_never", on(1, 1), monthly, status="incomplete"),
            subscription("sub_metered", on(1, 1), item(None, "month")),
        ],
    )
    euros = [revenue(ready).get(("EUR", date(2026, month, 1))) for month in range(1, 6)]
    assert euros == [
        (3, 30_00),  # plain, paused, gone
        (4, 40_00),  # plain, midnight, paused, gone
        (3, 40_00),  # plain at its new price, midnight, trial
        (5, 60_00),  # plain, midnight, trial, paused, late
        (4, 50_00),  # plain, midnight, trial, paused
    ]


@pytest.mark.parametrize(
    ("amount", "unit", "count", "monthly"),
    [
        (100_00, "year", 1, 8_33),
        (10_06, "year", 1, 84),  # 83.83
        (6, "year", 1, 1),  # 0.5 is rounded up
        (5, "year", 1, 0),
        (120_00, "year", 2, 5_00),
        (1_00, "month", 3, 33),
        (2_00, "month", 3, 67),
        (3_00, "week", 1, 13_00),
        (1_00, "week", 1, 4_33),
        (12, "day", 1, 3_65),
        (1_00, "day", 7, 4_35),  # 434.52
        (10**15, "month", 1, 10**15),
    ],
)
def test_periods_are_brought_to_a_month(
    ready: Store, amount: int, unit: str, count: int, monthly: int
) -> None:
    one = item(amount, unit, count)
    given(ready, [subscription("sub_1", on(1, 1), one, one, currency="JPY")])
    assert revenue(ready)["JPY", date(2026, 5, 1)] == (1, 2 * monthly)
