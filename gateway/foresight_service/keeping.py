"""Looks at how this process is doing, and keeps what was seen in a minute once it is over."""

import asyncio
import time
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.foresight_service import store
from gateway.foresight_service.evidence import Evidence
from gateway.limits import LIMITS
from runtime.loops import Loop

# How long a look sleeps to see whether the process wakes up in time.
NAP_SECONDS = 0.05
# Every so many looks the database is asked.
LOOKS_PER_DATABASE_LOOK = 5


class EvidenceKeeper:
    """Runs in every process. `replica` names it among the others, and no process after it."""

    def __init__(
        self,
        engine: AsyncEngine,
        evidence: Evidence,
        replica: str,
        monotonic: Callable[[], float] = time.monotonic,
        rest_seconds: float = LIMITS.sighting_rest_seconds,
    ) -> None:
        self._engine = engine
        self._evidence = evidence
        self._replica = replica
        self._monotonic = monotonic
        self._rest_seconds = rest_seconds
        self._looks = 0

    def loop(self) -> Loop:
        """Looks every second."""
        return Loop("foresight evidence", self.round, poll_seconds=self._rest_seconds)

    async def round(self) -> bool:
        """One look; keeps the minutes that are over."""
        started = self._monotonic()
        await asyncio.sleep(NAP_SECONDS)
        late = max(0.0, self._monotonic() - started - NAP_SECONDS)
        self._evidence.event_loop_was_late(late * 1_000)
        if self._looks % LOOKS_PER_DATABASE_LOOK == 0:
            await self._ask_database()
        self._looks += 1
        await self.keep()
        return False

    async def keep(self) -> None:
        """Keeps the minutes that are over. Raises if the database is away: they wait."""
        minutes = self._evidence.take()
        if not minutes:
            return
        async with self._engine.begin() as connection:
            await store.add_sightings(connection, self._replica, minutes)
        self._evidence.taken(list(minutes))

    async def _ask_database(self) -> None:
        started = self._monotonic()
        async with self._engine.connect() as connection:
            lent = self._monotonic()
            await connection.execute(text("SELECT 1"))
            answered = self._monotonic()
        self._evidence.database_answered((lent - started) * 1_000, (answered - lent) * 1_000)
