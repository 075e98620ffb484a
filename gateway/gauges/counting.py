"""Counts what waits in the database, and since when, for the gauges that alerts are about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.gauges import telemetry
from gateway.operations.operation import OPEN, OperationKind
from gateway.verifications.domain import (
    FIRST_LOOK,
    LAST_LOOK,
    LOOKS_PER_DOUBLING,
    REDACTION_LOOK,
)
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.sql_files import sql_statement

POLL_SECONDS = 15.0

# What a verification may wait for: that Stripe has made its session, its person, its person after
# a try that failed, Stripe's check, and that Stripe has removed what was collected.
VERIFICATION_STAGES = ("CREATING", "REQUIRES_INPUT", "FAILED_TRY", "PROCESSING", "REDACTING")

_COUNT = sql_statement(__file__, "count_states")
_COUNT_VERIFICATIONS = sql_statement(__file__, "count_verifications")
_LOOKS = {
    "first_look": FIRST_LOOK,
    "last_look": LAST_LOOK,
    "looks_per_doubling": LOOKS_PER_DOUBLING,
    "redaction_look": REDACTION_LOOK,
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait, and since when the oldest does."""

    number: int = 0
    oldest_time: datetime | None = None

    def seconds(self, now: datetime) -> float:
        """How long the oldest has waited; 0 if none does, or a clock is behind."""
        if self.oldest_time is None:
            return 0.0
        return max(0.0, (now - self.oldest_time).total_seconds())


NOBODY = Waiting()


class StateGauges:
    """Sets the gauges; each has all its labels from the first look on."""

    def __init__(self, engine: AsyncEngine, corridors: Sequence[str], clock: Clock) -> None:
        self._engine = engine
        self._corridors = corridors
        self._clock = clock

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("state gauges", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once."""
        async with self._engine.connect() as connection:
            found = await count(connection)
        now = self._clock.now()

        def tell(waiting: Waiting, number: Gauge, seconds: Gauge) -> None:
            number.set(waiting.number)
            seconds.set(waiting.seconds(now))

        for kind in OperationKind:
            for state in OPEN:
                tell(
                    found.get(("operations", f"{kind} {state}"), NOBODY),
                    telemetry.OPERATIONS.labels(kind, state),
                    telemetry.OPERATIONS_OLDEST_SECONDS.labels(kind, state),
                )
        for corridor in self._corridors:
            tell(
                found.get(("queued", corridor), NOBODY),
                telemetry.QUEUED.labels(corridor),
                telemetry.QUEUE_OLDEST_SECONDS.labels(corridor),
            )
        tell(
            found.get(("in review", ""), NOBODY),
            telemetry.IN_REVIEW,
            telemetry.REVIEW_OLDEST_SECONDS,
        )
        for stage in VERIFICATION_STAGES:
            tell(
                found.get(("verifications", stage), NOBODY),
                telemetry.VERIFICATIONS.labels(stage),
                telemetry.VERIFICATIONS_OLDEST_SECONDS.labels(stage),
            )
        looks = found.get(("verification looks", ""), NOBODY)
        telemetry.VERIFICATION_LOOKS_LATE_SECONDS.set(looks.seconds(now))
        telemetry.DEAD_DELIVERIES.set(found.get(("dead deliveries", ""), NOBODY).number)
        telemetry.DISABLED_ENDPOINTS.set(found.get(("disabled endpoints", ""), NOBODY).number)
        return False


async def count(connection: AsyncConnection) -> Mapping[tuple[str, str], Waiting]:
    """What waits by measure and label (a kind with its state, a corridor, a stage, or nothing)."""
    rows = [
        *await connection.execute(_COUNT),
        *await connection.execute(_COUNT_VERIFICATIONS, _LOOKS),
    ]
    return {(row.measure, row.label): Waiting(row.number, row.oldest_time) for row in rows}
