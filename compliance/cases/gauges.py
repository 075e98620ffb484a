"""Counts open cases in the database, for the gauges that alerts are about."""

from datetime import timedelta

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.checks.facts import CheckKind
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.sql_files import sql_statement

POLL_SECONDS = 15.0
STAGES = ("unassigned", "assigned", "second_approval")

OPEN_CASES = Gauge("compliance_cases_open", "Cases that wait for people.", ["kind", "stage"])
OLDEST_SECONDS = Gauge(
    "compliance_cases_oldest_seconds", "Age of the oldest open case.", ["kind", "stage"]
)
LATE_CASES = Gauge(
    "compliance_cases_late",
    "Open cases that are older than people are to take.",
    ["kind", "stage"],
)

_COUNT = sql_statement(__file__, "count_cases")


class CaseGauges:
    """Sets the gauges; each has all its labels from the first look on."""

    def __init__(self, engine: AsyncEngine, target: timedelta, clock: Clock) -> None:
        """People are to decide a case within `target`."""
        self._engine = engine
        self._target = target
        self._clock = clock

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("case gauges", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once."""
        now = self._clock.now()
        async with self._engine.connect() as connection:
            rows = await connection.execute(_COUNT, {"late_before": now - self._target})
            found = {(row.kind, row.stage): row for row in rows}
        for kind in CheckKind:
            for stage in STAGES:
                row = found.get((kind.value, stage))
                labels = (kind.value, stage)
                OPEN_CASES.labels(*labels).set(row.number if row else 0)
                LATE_CASES.labels(*labels).set(row.late if row else 0)
                age = (now - row.oldest_time).total_seconds() if row else 0.0
                OLDEST_SECONDS.labels(*labels).set(max(0.0, age))
        return False
