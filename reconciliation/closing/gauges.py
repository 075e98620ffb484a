"""How far the days of corridors are closed, for the alert that is about it."""

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.closing import store
from reconciliation.matching.book_days import BookDays
from runtime.loops import Loop

POLL_SECONDS = 60.0

CLOSED_UNTIL = Gauge(
    "reconciliation_closed_until_timestamp_seconds",
    "End of the last day that is closed, by corridor; none before the first.",
    ["corridor"],
)


class ClosingGauges:
    """Sets the gauge."""

    def __init__(self, engine: AsyncEngine, book_days: BookDays) -> None:
        self._engine = engine
        self._book_days = book_days

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("closing gauges", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once."""
        async with self._engine.connect() as connection:
            names = await store.corridors(connection)
            closed = await store.closed_days(connection, names)
        for corridor, days in closed.items():
            end = self._book_days.end_of(corridor, days.last_day)
            CLOSED_UNTIL.labels(corridor).set(end.timestamp())
        return False
