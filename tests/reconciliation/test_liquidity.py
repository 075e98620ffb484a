"""Liquidity: where the money is at a moment, by balances, payouts and what the bank has booked."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from reconciliation.balances import store
from reconciliation.liquidity.gauges import LiquidityGauges
from reconciliation.liquidity.position import AtBank, OpenPayouts, Place, positions
from reconciliation.matching.item import State
from reconciliation.v1 import liquidity_service_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as requests
from reconciliation.v1.liquidity_service_pb2_grpc import LiquidityServiceStub
from tests.reconciliation.books import Books
from tests.reconciliation.people import named, refusal
from tests.reconciliation.test_balances import balance
from tests.reconciliation.worlds import START, item

TODAY = START.date()
METRIC = "reconciliation_liquidity_minor_units"


def open_payout(day: int, minor: int, corridor: str = "main", currency: str = "EUR") -> OpenPayouts:
    return OpenPayouts(
        corridor=corridor,
        currency=currency,
        day=TODAY + timedelta(days=day),
        amount_minor=minor,
        count=1,
    )


DAYS = st.just(TODAY)
PLACES = st.tuples(st.sampled_from(["main", "us"]), st.sampled_from(["EUR", "JPY"]))


@given(
    payouts=st.lists(st.tuples(PLACES, st.integers(-3, 3), st.integers(-50, 50)), max_size=8),
    amounts=st.dictionaries(
        st.tuples(PLACES, st.sampled_from(["available", "pending", "issuing"])),
        st.integers(-50, 50),
    ),
    stated=st.sets(PLACES),
    at_bank=st.dictionaries(PLACES, st.builds(AtBank, amount_minor=st.integers(-50, 50), day=DAYS)),
)
def test_every_payout_is_expected_late_or_believed_to_have_arrived(
    payouts: list[tuple[Place, int, int]],
    amounts: dict[tuple[Place, str], int],
    stated: set[Place],
    at_bank: dict[Place, AtBank],
) -> None:
    """By counting each payout alone."""
    expected: Counter[tuple[Place, date]] = Counter()
    late: Counter[Place] = Counter()
    known: set[Place] = {place for place, part in amounts if part != "issuing"}
    for place, day, minor in payouts:
        if day >= 0:
            expected[place, TODAY + timedelta(days=day)] += minor
            known.add(place)
        elif place in stated:
            late[place] += minor
            known.add(place)
    found = positions(
        [
            balance(minor, minor, corridor=place[0], currency=place[1], part=part)
            for (place, part), minor in amounts.items()
        ],
        [open_payout(day, minor, *place) for place, day, minor in payouts],
        stated,
        TODAY,
        at_bank,
    )
    known |= set(at_bank)
    assert {(one.corridor, one.currency): one.at_bank for one in found if one.at_bank} == at_bank
    assert [(one.corridor, one.currency) for one in found] == sorted(known)
    for one in found:
        place = one.corridor, one.currency
        days: Counter[tuple[Place, date]] = Counter()
        for payout in one.expected:
            days[place, payout.day] += payout.amount_minor
        assert days == Counter({key: n for key, n in expected.items() if key[0] == place})
        assert one.late_minor == late[place]
        assert one.in_transit_minor == late[place] + sum(days.values())
        parts = {part: minor for (of, part), minor in amounts.items() if of == place}
        if set(parts) & {"available", "pending"}:
            assert one.available_minor == parts.get("available", 0)
            assert one.pending_minor == parts.get("pending", 0)
        else:
            assert (one.available_minor, one.pending_minor, one.balance_time) == (None, None, None)


def payout(number: int, minor: int, day: int, **more: Any) -> Any:
    return item("PAYOUT", f"po_{number}", minor, f"t{number}", day=day, **more)


@pytest.fixture
async def liquidity(
    open_stub: Callable[..., Awaitable[Any]],
) -> Callable[..., Awaitable[list[pb.Liquidity]]]:
    stub = await open_stub("fin.example", LiquidityServiceStub)

    async def read(**wanted: Any) -> list[pb.Liquidity]:
        return list((await stub.GetLiquidity(pb.GetLiquidityRequest(**wanted))).liquidity)

    return read


def told(one: pb.Liquidity) -> tuple[int, dict[str, int], int]:
    """In transit, expected by day, late."""
    days = {each.day: each.amount.minor_units for each in one.expected}
    return one.in_transit.minor_units, days, one.late.minor_units


def stamp(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


async def test_money_is_followed_from_stripe_to_the_bank(
    books: Books, liquidity: Callable[..., Awaitable[list[pb.Liquidity]]]
) -> None:
    async with books.engine.begin() as connection:
        await store.keep(
            connection,
            [balance(700, 700), balance(30, 30, part="pending"), balance(9, 9, part="issuing")],
            books.clock.now(),
        )
    await books.give(
        payout(1, 100, 0),
        payout(2, 40, 2),
        payout(3, -15, 2),
        payout(4, 60, 1, state=State.RETURNED),
        payout(5, 5, -1),
        payout(6, 1, 0, currency="JPY"),
    )
    await books.run()
    euro, yen = await liquidity()
    assert (euro.corridor, euro.currency_code) == ("main", "EUR")
    assert (euro.available.minor_units, euro.pending.minor_units) == (700, 30)
    assert euro.balance_time == stamp(START)
    # The one of yesterday is believed to have arrived while nobody has a statement.
    assert told(euro) == (125, {"2026-11-30": 100, "2026-12-02": 25}, 0)
    assert [each.payouts for each in euro.expected] == [1, 2]
    assert told(yen) == (1, {"2026-11-30": 1}, 0)
    assert not yen.HasField("available")
    assert not euro.HasField("at_bank")
    assert await liquidity(currency_code="JPY") == [yen]
    assert await liquidity(corridor="us") == []
    # A day later the bank tells of the first, and nothing of the one before it.
    await books.later(days=1)
    await books.give(item("BANK", "line_1", 100, "t1", day=0))
    await books.run()
    (after,) = await liquidity(currency_code="EUR")
    assert told(after) == (30, {"2026-12-02": 25}, 5)
    # And as it was known before.
    (before,) = await liquidity(currency_code="EUR", as_of_time=stamp(START))
    assert before == euro
    assert await liquidity(as_of_time=stamp(START - timedelta(seconds=1))) == []
    # What lies ahead nobody knows.
    (ahead,) = await liquidity(
        currency_code="EUR", as_of_time=stamp(books.clock.now() + timedelta(days=9))
    )
    assert ahead == after


async def test_what_people_ignore_is_not_on_its_way(
    books: Books,
    liquidity: Callable[..., Awaitable[list[pb.Liquidity]]],
    ann: Any,
    bob: Any,
) -> None:
    await books.give(payout(1, 100, 0), payout(2, 7, 0))
    await books.run()
    before = books.clock.now()
    for number, person in enumerate((ann, bob)):
        assert [told(one)[0] for one in await liquidity()] == [107]
        books.clock.advance(timedelta(minutes=1))
        await person.IgnoreItem(
            requests.IgnoreItemRequest(
                request_id=f"ignore-{number}",
                item=named("PAYOUT", "po_1"),
                leg=messages.LEG_BANKED,
                note="paid by hand",
            )
        )
    assert [told(one)[0] for one in await liquidity()] == [7]
    assert [told(one)[0] for one in await liquidity(as_of_time=stamp(before))] == [107]


async def test_operators_see_what_is_known_and_nothing_else(books: Books) -> None:
    await books.give(payout(1, 100, 0), item("BANK", "line_1", 7, "x", day=0))
    await books.run()
    gauges = LiquidityGauges(books.engine, {}, books.clock)

    def shown(part: str) -> float | None:
        labels = {"corridor": "main", "currency": "EUR", "part": part}
        return REGISTRY.get_sample_value(METRIC, labels)

    assert not await gauges.round()
    assert (shown("in_transit"), shown("late"), shown("available")) == (100, 0, None)
    async with books.engine.begin() as connection:
        await store.keep(connection, [balance(3, 3)], books.clock.now())
    assert not await gauges.round()
    assert (shown("available"), shown("pending")) == (3, 0)
    # Nobody has looked for a day, and the payout is late.
    await books.later(days=2)
    assert not await gauges.round()
    assert (shown("in_transit"), shown("late"), shown("available")) == (100, 100, None)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"corridor": "c" * 256}, "corridor"),
        ({"currency_code": "eur"}, "currency_code"),
        ({"as_of_time": Timestamp(nanos=-1)}, "as_of_time"),
    ],
)
async def test_what_cannot_be_asked(
    open_stub: Callable[..., Awaitable[Any]], wanted: dict[str, Any], field: str
) -> None:
    stub = await open_stub("fin.example", LiquidityServiceStub)
    reason, _ = await refusal(stub.GetLiquidity(pb.GetLiquidityRequest(**wanted)))
    assert reason == "INVALID_REQUEST", field


async def test_nothing_was_known_when_time_began(open_stub: Callable[..., Awaitable[Any]]) -> None:
    stub = await open_stub("fin.example", LiquidityServiceStub)
    beginning = Timestamp(seconds=-62_135_596_800)
    answer = await stub.GetLiquidity(pb.GetLiquidityRequest(as_of_time=beginning))
    assert (list(answer.liquidity), answer.as_of_time) == ([], beginning)
