"""Counts open breaks in the database, for the gauges that alerts are about."""

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.matching.policy import BreakKind
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.sql_files import sql_statement

POLL_SECONDS = 15.0
AGES = ("due", "overdue")

OPEN_BREAKS = Gauge("reconciliation_breaks_open", "Breaks that are open.", ["kind", "age"])
OPEN_AMOUNT = Gauge(
    "reconciliation_breaks_open_minor_units",
    "What is at stake in open breaks, in minor units.",
    ["kind", "currency"],
)

_COUNT = sql_statement(__file__, "count_breaks")


class BreakGauges:
    """Sets the gauges; of the first each has all its labels from the first look on."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._seen: set[tuple[str, str]] = set()

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("break gauges", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_COUNT, {"now": self._clock.now()})).all()
        for kind in BreakKind:
            for age in AGES:
                number = sum(r.number for r in rows if (r.kind, r.age) == (kind.value, age))
                OPEN_BREAKS.labels(kind.value, age).set(number)
        amounts = dict.fromkeys(self._seen, 0)
        for row in rows:
            if row.currency is None:  # Of a condition without an amount.
                continue
            place = (row.kind, row.currency)
            amounts[place] = amounts.get(place, 0) + int(row.amount_minor)
        for place, amount in amounts.items():
            OPEN_AMOUNT.labels(*place).set(amount)
        self._seen = set(amounts)
        return False
