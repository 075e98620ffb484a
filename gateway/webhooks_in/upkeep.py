"""Upkeep of the inbox: shows how full it is, and deletes what cannot come again."""

from collections.abc import Sequence

from gateway.webhooks_in import telemetry
from gateway.webhooks_in.inbox import PURGE_BATCH, PostgresInbox
from runtime.clock import Clock
from runtime.loops import Loop

INTERVAL_SECONDS = 15.0
# What is left over is deleted in the next round, so that one round stays short.
MAX_PURGES_PER_ROUND = 10


class InboxUpkeep:
    """Runs beside the workers; any number of them do no harm."""

    def __init__(self, inbox: PostgresInbox, corridors: Sequence[str], clock: Clock) -> None:
        self._inbox = inbox
        self._corridors = corridors
        self._clock = clock

    def loop(self) -> Loop:
        """Looks after the inbox again and again."""
        return Loop("inbox upkeep", self._round, poll_seconds=INTERVAL_SECONDS)

    async def _round(self) -> bool:
        await self.work_once()
        return False

    async def work_once(self) -> None:
        """One round."""
        for corridor in self._corridors:
            counts = await self._inbox.count(corridor)
            waited = 0.0
            if counts.oldest_pending_time is not None:
                waited = (self._clock.now() - counts.oldest_pending_time).total_seconds()
            telemetry.pending.labels(corridor).set(counts.pending)
            telemetry.oldest_pending_seconds.labels(corridor).set(waited)
            telemetry.open_dead_letters.labels(corridor).set(counts.dead_letters)
        for _ in range(MAX_PURGES_PER_ROUND):
            if await self._inbox.purge() < PURGE_BATCH:
                return
