"""Hours of a corridor as two processes saw them: calm, then a ramp of latency, then calm again."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight.actions import Bounds
from gateway.foresight.alarm import AlarmTerms
from gateway.foresight.model import built_in_model
from gateway.foresight.objective import Objective
from gateway.foresight.sighting import Sighting, bucket_of
from gateway.foresight.standing import Terms
from gateway.foresight_service import store
from gateway.foresight_service.foreseeing import GRACE, Foreseeing
from runtime.clock import ManualClock

FIRST = int(datetime(2026, 11, 30, 6, tzinfo=UTC).timestamp()) // 60
LEARNING = 240
RAMP_FROM, RAMP_UNTIL, RAMP_RISES_FOR = 300, 360, 50
LAST = 395
USUAL_MS, MOST_RISE = 300.0, 4.5
CALLS_OF_ONE, PROCESSES = 60, 2

TERMS = Terms(Objective(), built_in_model(), AlarmTerms(), Bounds(probe_every_minutes=5), LEARNING)


def factor_at(at: int) -> float:
    """How many times slower than usual Stripe is in a minute of the course."""
    if not RAMP_FROM <= at < RAMP_UNTIL:
        return 1.0
    return 1 + MOST_RISE * (at - RAMP_FROM) / RAMP_RISES_FOR


def sighting(chance: random.Random, factor: float = 1.0) -> Sighting:
    """What one process saw in a minute."""
    latencies: dict[int, int] = {}
    for _ in range(CALLS_OF_ONE):
        bucket = bucket_of(USUAL_MS * factor * chance.lognormvariate(0, 0.35))
        latencies[bucket] = latencies.get(bucket, 0) + 1
    return Sighting(
        calls=CALLS_OF_ONE,
        latencies=latencies,
        webhooks=3,
        webhook_lag_s=6.0,
        in_flight_age_s=0.4,
        event_loop_lag_ms=1.0,
        pool_wait_ms=0.5,
        database_latency_ms=1.0,
    )


def course(process: int) -> Mapping[int, Mapping[str, Sighting]]:
    """What one process saw, all of it."""
    chance = random.Random(process)
    return {FIRST + at: {"default": sighting(chance, factor_at(at))} for at in range(LAST)}


async def keep_course(engine: AsyncEngine) -> None:
    """Puts what all processes saw into the database, though most of it is yet to come: nobody reads
    what is not over."""
    async with engine.begin() as connection:
        for process in range(PROCESSES):
            await store.add_sightings(connection, f"replica-{process}", course(process))


@dataclass
class Leader:
    """The leader's work at a time that the test tells. Each round is another process's: nothing is
    remembered but in the database."""

    engine: AsyncEngine
    clock: ManualClock
    terms: Terms = TERMS
    probed: list[str] = field(default_factory=list)
    answers: bool = True

    def process(self) -> Foreseeing:
        """A process that has just been elected."""
        return Foreseeing(self.engine, self._probe, ["default"], self.terms, self.clock)

    async def comes_to(self, at: int) -> None:
        """All is read up to the end of a minute of the course."""
        self.clock.advance(self.time_of(at) - self.clock.now())
        await self.reads()

    async def reads(self) -> None:
        """Reads what is over."""
        process = self.process()
        while await process.round():
            pass

    @staticmethod
    def time_of(at: int) -> datetime:
        """When a minute of the course is over and read."""
        return datetime.fromtimestamp((FIRST + at + 1) * 60, UTC) + GRACE + timedelta(seconds=1)

    async def _probe(self, corridor: str) -> bool:
        self.probed.append(corridor)
        return self.answers
