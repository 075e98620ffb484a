"""Stripe's balances: kept as they were found, and told of where they have drifted."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from gateway.v1.balance_pb2 import Balance as Message
from gateway.v1.balance_transaction_service_pb2 import ListBalancesRequest, ListBalancesResponse
from money.v1.money_pb2 import Money
from reconciliation.balances import store
from reconciliation.balances.balance import DRIFT_SWEEPS, Balance, drifts
from reconciliation.balances.reading import BalanceReading
from reconciliation.conditions.telling import Conditions
from reconciliation.v1 import reconciliation_pb2 as messages
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.people import breaks
from tests.reconciliation.worlds import START

DRIFT = messages.BREAK_KIND_BALANCE_DRIFT


def balance(stripe: int = 500, sum_: int = 500, sweeps: int = 0, **changes: Any) -> Balance:
    fields: dict[str, Any] = {
        "corridor": "main",
        "currency": "EUR",
        "part": "available",
        "stripe_minor": stripe,
        "sum_minor": sum_,
        "differing_sweeps": sweeps,
        "differs_since": START if sweeps else None,
        "sweep_time": START,
    }
    return Balance(**fields | changes)


def test_a_drift_is_told_of_in_the_second_sweep_that_sees_it() -> None:
    assert drifts([balance()]) == []
    assert drifts([balance(499, sweeps=DRIFT_SWEEPS - 1)]) == []
    (drift,) = drifts([balance(499, sweeps=DRIFT_SWEEPS), balance(currency="JPY")])
    assert (drift.kind, drift.corridor, drift.subject) == (
        "BALANCE_DRIFT",
        "main",
        "balance available EUR",
    )
    assert (drift.amounts, drift.since) == ((("EUR", -1),), START)


class Stub:
    """The gateway, which tells of some balances, two at a time."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.balances: list[Balance] = []

    async def ListBalances(self, request: ListBalancesRequest) -> ListBalancesResponse:
        place = int(request.page_token or 0)
        page = self.balances[place : place + 2]
        more = place + 2 < len(self.balances)
        return ListBalancesResponse(
            balances=[message(one) for one in page], next_page_token=str(place + 2) if more else ""
        )


def message(one: Balance) -> Message:
    made = Message(
        corridor=one.corridor,
        part=one.part,
        at_stripe=Money(currency_code=one.currency, minor_units=one.stripe_minor),
        balance_transactions=Money(currency_code=one.currency, minor_units=one.sum_minor),
        differing_sweeps=one.differing_sweeps,
    )
    made.sweep_time.FromDatetime(one.sweep_time)
    if one.differs_since is not None:
        made.differs_since.FromDatetime(one.differs_since)
    return made


@pytest.fixture
def gateway(books: Books) -> Stub:
    return Stub(books)


async def look(gateway: Stub, *balances: Balance) -> None:
    """The gateway has swept, and reconciliation looks."""
    books = gateway.books
    gateway.balances = list(balances)
    conditions = Conditions(POLICY, books.clock)
    reading = BalanceReading(books.engine, gateway, conditions, books.clock)  # type: ignore[arg-type]
    assert not await reading.round()
    await books.run()


async def test_a_drift_is_a_break_until_it_is_gone(gateway: Stub, ann: Any) -> None:
    sound = balance(currency="JPY"), balance(part="pending"), balance(corridor="us")
    await look(gateway, balance(499, sweeps=1), *sound)
    assert await breaks(ann, kind=DRIFT) == []
    await look(gateway, balance(499, sweeps=2), *sound)
    (found,) = await breaks(ann, kind=DRIFT)
    assert (found.subject, found.corridor) == ("balance available EUR", "main")
    assert [(money.currency_code, money.minor_units) for money in found.amounts] == [("EUR", -1)]
    assert "Stripe's balance (available) less the sum of its balance transactions: -0.01 EUR" in (
        found.sentence
    )
    # Seen again it is the same, with another amount another one, and then it is gone.
    await look(gateway, balance(499, sweeps=3), *sound)
    assert await breaks(ann, kind=DRIFT) == [found]
    await look(gateway, balance(498, sweeps=4), *sound)
    (other,) = await breaks(ann, kind=DRIFT)
    assert other.break_id != found.break_id
    await look(gateway, balance(), *sound)
    assert await breaks(ann, kind=DRIFT) == []
    ended = await breaks(ann, kind=DRIFT, state=messages.BREAK_STATE_ENDED)
    assert [one.break_id for one in ended] == [found.break_id, other.break_id]


async def test_balances_are_kept_when_they_change_and_every_hour(gateway: Stub) -> None:
    books = gateway.books

    async def known(**since: float) -> Mapping[str, int]:
        time = START + timedelta(**since)
        async with books.engine.connect() as connection:
            found = await store.known_at(connection, time)
        return {one.part: one.stripe_minor for one in found}

    def swept(minutes: int, minor: int, part: str = "available") -> Balance:
        return balance(minor, minor, part=part, sweep_time=START + timedelta(minutes=minutes))

    for minutes, minor in ((0, 500), (1, 500), (2, 700), (61, 700), (62, 700), (63, 700)):
        books.clock.advance(START + timedelta(minutes=minutes) - books.clock.now())
        # What a sweep of before says, in a second look at it, is no news.
        for _ in range(2):
            await look(gateway, swept(minutes, minor), swept(minutes, 3, "pending"))
    rows = await books.rows(
        "SELECT part, stripe_minor, record_time FROM balance_reading ORDER BY reading_number"
    )
    assert [(part, minor, time - START) for part, minor, time in rows] == [
        ("available", 500, timedelta(0)),
        ("pending", 3, timedelta(0)),
        ("available", 700, timedelta(minutes=2)),
        ("pending", 3, timedelta(minutes=61)),
        ("available", 700, timedelta(minutes=62)),
    ]
    assert await known(seconds=-1) == {}
    assert await known() == {"available": 500, "pending": 3}
    assert await known(minutes=2) == {"available": 700, "pending": 3}
    # What nobody has looked at for a day is not known.
    assert await known(days=1, minutes=61) == {"available": 700}
    assert await known(days=1, minutes=62) == {}
