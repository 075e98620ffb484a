"""The ledger's Stripe accounts against the swept balance: do the books have what Stripe moved?
And what stands in suspense.

The two are never quite equal while money moves: a charge is booked before the sweep has seen its
balance transaction, and a swept one before its facts are booked. What is in flight like that is
known, and only what it cannot explain is a difference. So a loss smaller than what moves within
two rounds shows when less moves; there is no false alarm for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.balance import store, telemetry
from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import StripeBalance
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.standing import StandingStore
from runtime.loops import Loop
from runtime.sql_files import sql_statement

# What was booked in so many rounds may not have been swept: a sweep may begin before the one and
# end after the other.
ROUNDS_IN_FLIGHT = 2

_IN_FLIGHT = sql_statement(__file__, "read_money_in_flight")


class BooksComparison:
    """Compares each corridor's Stripe accounts in the ledger with the balance transactions."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerLog, corridors: Sequence[str]) -> None:
        self._engine = engine
        self._ledger = ledger
        self._corridors = corridors
        self._standing = StandingStore(engine, ledger.ledger)
        # The highest sequences that were booked when the last rounds began, the oldest first.
        self._booked: deque[int] = deque(maxlen=ROUNDS_IN_FLIGHT)

    def loop(self, poll_seconds: float) -> Loop:
        """Compares again and again."""
        return Loop("books comparison", self.round, poll_seconds=poll_seconds)

    async def round(self) -> bool:
        """Compares all corridors, once there were enough rounds to know what is in flight.

        Raises LedgerUnavailableError.
        """
        highest = await self._standing.highest_booking()
        if len(self._booked) == ROUNDS_IN_FLIGHT:
            for corridor in self._corridors:
                await self._compare(corridor, self._booked[0])
        self._booked.append(highest.sequence if highest is not None else 0)
        return False

    async def _compare(self, corridor: str, settled_sequence: int) -> None:
        async with self._engine.connect() as connection:
            known = await store.totals(connection, corridor)
        booked = {
            (currency, part): await self._ledger.posted_debit_minor(
                Chart(corridor, currency).stripe(StripeBalance(part)).path
            )
            for currency, part in known
        }
        # Read after the ledger: what was booked meanwhile counts as in flight.
        async with self._engine.connect() as connection:
            swept = await store.totals(connection, corridor)
            in_flight = await money_in_flight(
                connection, corridor, self._ledger.ledger, settled_sequence
            )
        for currency in {currency for currency, _ in known}:
            suspense = Chart(corridor, currency).suspense
            telemetry.SUSPENSE_MINOR.labels(corridor, currency).set(
                -await self._ledger.posted_debit_minor(suspense.path)
            )
        for (currency, part), minor in booked.items():
            telemetry.BOOKS_DIFFERENCE.labels(corridor, currency, part).set(
                unexplained(minor - swept[currency, part], in_flight.get(currency, 0))
            )


def unexplained(difference_minor: int, in_flight_minor: int) -> int:
    """What of a difference money in flight cannot be, in minor units with the difference's sign."""
    rest = max(0, abs(difference_minor) - in_flight_minor)
    return rest if difference_minor > 0 else -rest


async def money_in_flight(
    connection: AsyncConnection, corridor: str, ledger: str, settled_sequence: int
) -> Mapping[str, int]:
    """Minor units by currency that may be booked and not swept, or swept and not booked.

    Everything counts with its amount, whichever way it goes; `settled_sequence` is the ledger's
    up to which what is booked has been swept.
    """
    rows = await connection.execute(
        _IN_FLIGHT,
        {"corridor": corridor, "ledger": ledger, "settled_sequence": settled_sequence},
    )
    return {row.currency: row.minor for row in rows}
