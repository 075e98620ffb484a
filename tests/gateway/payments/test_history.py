"""What came before a payment, of its customer and its card: counted as written down here again."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import DATABASE_ROLE
from gateway.payments.domain.card import Card
from gateway.payments.domain.history import (
    MAX_COUNTED,
    Bucket,
    Past,
    PaymentHistory,
    Velocity,
    Window,
    bucket_of,
)
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.states import PaymentState
from gateway.payments.store import history
from gateway.payments.store import payments as store
from gateway.payments.store.history import KEPT_FOR, MAX_KEPT, PastPayments, history_of
from runtime.postgres import create_engine
from tests.gateway.payments.test_states import new_payment
from tests.history_copies import copy_rows, never_analyse, rows_read

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
KINDS = (Card("visa", "credit", "DE"), Card("amex", "", "US"))
LEVELS = ("normal", "elevated", "highest", "not_assessed")
# The customer, the card and the token, each read no further; and the rows that statistics need.
MOST_ROWS = 2 * MAX_COUNTED + 10
COPIES = 2_000


@pytest.mark.parametrize(
    ("count", "bucket"),
    [
        *((0, Bucket.NONE), (1, Bucket.ONE), (2, Bucket.FEW), (3, Bucket.FEW)),
        *((4, Bucket.SEVERAL), (10, Bucket.SEVERAL), (11, Bucket.MANY), (100, Bucket.MANY)),
    ],
)
def test_buckets_have_edges(count: int, bucket: Bucket) -> None:
    assert bucket_of(count) is bucket
    assert bucket_of(MAX_COUNTED) is Bucket.MANY


def test_a_velocity_says_how_many_in_each_window() -> None:
    velocity = Velocity(Bucket.ONE, Bucket.FEW, Bucket.MANY)
    assert [velocity.within(window) for window in Window] == [Bucket.ONE, Bucket.FEW, Bucket.MANY]


def made(number: int, age: timedelta, **values: object) -> Payment:
    """A payment of that age; of one that has paid, something was captured."""
    return new_payment(
        **{
            "id": f"pay_{number:04}",
            "request_id": f"r{number}",
            "state": PaymentState.DECLINED,
            "create_time": NOW - age,
            "update_time": NOW - age,
            **values,
        }
    )


def expected(payment: Payment, others: Iterable[Payment]) -> PaymentHistory:
    """The same by looking at all of them."""
    before = [
        other
        for other in others
        if (other.create_time, other.id) < (payment.create_time, payment.id)
    ]
    named = [
        other
        for other in others
        if other.payment_method == payment.payment_method and other.card_fingerprint
    ]
    newest = max(named, key=lambda other: (other.create_time, other.id), default=None)
    card = newest.card_fingerprint if newest is not None else None
    customers = [b for b in before if payment.customer_id and b.customer_id == payment.customer_id]
    cards = [b for b in before if card and b.card_fingerprint == card]
    told = [other for other in cards if other.card is not None]
    latest = max(told, key=lambda other: (other.create_time, other.id), default=None)
    kind = latest.card if latest is not None else None
    return PaymentHistory(past_of(customers), past_of(cards), kind)


def past_of(payments: list[Payment]) -> Past:
    def within(hours: int) -> Bucket:
        since = NOW - timedelta(hours=hours)
        count = sum(payment.create_time > since for payment in payments)
        if count > 10:
            return Bucket.MANY
        return [
            *(Bucket.NONE, Bucket.ONE, Bucket.FEW, Bucket.FEW),
            *[Bucket.SEVERAL] * 7,
        ][count]

    def last(*levels: str) -> datetime | None:
        times = [
            payment.create_time
            for payment in payments
            if payment.radar_outcome is not None and payment.radar_outcome.risk_level in levels
        ]
        return max(times, default=None)

    return Past(
        Velocity(within(1), within(24), within(24 * 7)),
        has_paid=any(payment.captured_minor > 0 for payment in payments),
        declined=any(
            payment.decline_count > 0
            for payment in payments
            if payment.create_time > NOW - timedelta(hours=1)
        ),
        rated=last("normal", "elevated", "highest") is not None,
        elevated_time=last("elevated", "highest"),
        highest_time=last("highest"),
    )


def drawn(seed: int) -> list[Payment]:
    """Payments of few customers, cards and tokens, over ten days, at the edges of windows too."""
    draw = random.Random(seed)
    edges = [window.length + step for window in Window for step in (-MICROSECOND, 0 * MICROSECOND)]
    ages = [timedelta(minutes=draw.randrange(14_400)) for _ in range(50)]
    payments = []
    for number, age in enumerate([*edges, *ages, timedelta(0)]):
        level = draw.choice(LEVELS)
        paid = draw.random() < 0.2
        payments.append(
            made(
                number,
                age,
                customer_id=draw.choice(("", "c_1", "c_2")),
                payment_method=draw.choice(("pm_1", "pm_2", "pm_3")),
                card_fingerprint=draw.choice(("", "fp_1", "fp_2")),
                radar_outcome=draw.choice((None, RadarOutcome("authorized", level))),
                decline_count=draw.choice((0, 0, 0, 1)),
                card=draw.choice((None, *KINDS)),
                state=PaymentState.SUCCEEDED if paid else PaymentState.DECLINED,
                captured_minor=1 if paid else 0,
            )
        )
    return payments


async def test_the_statement_counts_as_the_model_does(engine: AsyncEngine) -> None:
    payments = drawn(seed=7)
    async with engine.begin() as connection:
        for payment in payments:
            await store.add_payment(connection, payment)
        seen = set()
        for payment in (*payments, made(99, timedelta(0), payment_method="pm_new")):
            found = await history_of(connection, payment, NOW)
            assert found == expected(payment, payments), payment.id
            seen.add(found)
        stored = await store.get_payment(connection, payments[-1].id)
    assert stored == payments[-1]
    assert len(seen) > 10


async def test_no_more_than_the_newest_are_looked_at(engine: AsyncEngine) -> None:
    """What is older than those does not count, whatever it was."""
    outcome = RadarOutcome("authorized", "highest")
    first = made(0, timedelta(days=2), radar_outcome=outcome, card_fingerprint="fp_1")
    first = replace(first, state=PaymentState.SUCCEEDED, captured_minor=1)
    asking = made(9_999, timedelta(0))
    async with engine.begin() as connection:
        await store.add_payment(connection, first)
        for number in range(1, MAX_COUNTED):
            age = timedelta(days=2) - timedelta(minutes=number)
            await store.add_payment(connection, made(number, age, card_fingerprint="fp_1"))
        all_of_them = await history_of(connection, asking, NOW)
        for past in (all_of_them.customer, all_of_them.card):
            assert (past.has_paid, past.highest_time) == (True, first.create_time)
        one_more = made(MAX_COUNTED, timedelta(days=1), card_fingerprint="fp_1")
        await store.add_payment(connection, one_more)
        newest = await history_of(connection, asking, NOW)
    for past in (newest.customer, newest.card):
        assert (past.has_paid, past.highest_time) == (False, None)
        assert past.velocity == Velocity(week=Bucket.MANY)


async def test_a_long_history_is_not_read(database_url: str) -> None:
    regular = made(1, timedelta(0))
    # Nobody has paid with this card, nor for this customer.
    stranger = made(2, timedelta(0), customer_id="c_2", payment_method="pm_2")
    earlier = made(0, timedelta(hours=2), card_fingerprint="fp_1")

    async def look(payment: Payment, many: Bucket) -> int:
        """How many rows that reads; an engine's sessions tell it when they end."""
        before = rows_read(connection)["payment"]
        engine = create_engine(
            database_url,
            role=DATABASE_ROLE,
            pool_size=1,
            application_name="test",
        )
        async with engine.connect() as reading:
            found = await history_of(reading, payment, NOW)
        await engine.dispose()
        assert found.customer.velocity.day is found.card.velocity.day is many
        return rows_read(connection)["payment"] - before

    writing = create_engine(database_url, role=DATABASE_ROLE, pool_size=1, application_name="test")
    async with writing.begin() as writes:
        await store.add_payment(writes, earlier)
    await writing.dispose()
    with psycopg.connect(database_url, autocommit=True) as connection:
        never_analyse(connection)
        copy_rows(connection, ["payment"], COPIES)
        for statistics in ("of an empty table", "as it is"):
            read = await look(regular, Bucket.MANY)
            assert 0 < read <= MOST_ROWS, (statistics, read)
            assert await look(stranger, Bucket.NONE) == 0, statistics
            connection.execute("ANALYZE")


async def test_what_came_before_is_read_once_for_all_who_ask(engine: AsyncEngine) -> None:
    """Of a payment with the same token, for a moment; the oldest are forgotten first."""
    asking = made(9_999, timedelta(0))
    nothing = PaymentHistory()
    past = PastPayments(engine)
    assert past.kept(asking) is None
    assert await past.of(asking, NOW) == past.kept(asking) == nothing
    earlier = made(1, timedelta(minutes=1), card_fingerprint="fp_1", card=KINDS[0])
    async with engine.begin() as connection:
        await store.add_payment(connection, earlier)
    assert await past.of(asking, NOW + KEPT_FOR) == nothing
    there = await past.of(replace(asking, payment_method="pm_other"), NOW)
    assert (there.customer.velocity.hour, there.card) == (Bucket.ONE, Past())
    assert (await past.of(asking, NOW + KEPT_FOR + MICROSECOND)).kind_of_card == KINDS[0]
    kept = past.kept(asking)
    assert kept is not None
    assert kept.kind_of_card == KINDS[0]


async def test_the_pasts_of_few_payments_are_kept(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_KEPT == 1_000
    monkeypatch.setattr(history, "MAX_KEPT", 2)
    past = PastPayments(engine)
    first, second, third = (made(number, timedelta(0)) for number in range(3))
    for payment in (first, second, third):
        await past.of(payment, NOW)
    assert [past.kept(each) is None for each in (first, second, third)] == [True, False, False]
