"""Books again what a ledger has lost: `python -m gateway rebook`.

Facts have fixed ids, so the ledger finds what it has, and nothing is booked twice however often
the command is started and ended. It first compares the log with the bookings and sets those back
that are not where the ledger said that they are; then facts are booked as ever, by this process
and by the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.bookkeeping.ledger_check import still_has
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.standing import StandingStore, StopReason
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker
from runtime.clock import Clock

# While other workers have the rest, or the ledger fails on a fact.
PAUSE_SECONDS = 0.5

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rebooked:
    """What a comparison and the booking after it came to: numbers of facts."""

    missing: int
    refused: int


class Rebooking:
    """One ledger's bookings, compared and booked again; `tell` is given lines of progress."""

    def __init__(
        self,
        store: BookingStore,
        ledger: LedgerLog,
        worker: BookkeepingWorker,
        clock: Clock,
        tell: Tell,
    ) -> None:
        self._store = store
        self._standing: StandingStore = store.standing
        self._ledger = ledger
        self._worker = worker
        self._clock = clock
        self._tell = tell

    async def run(self) -> Rebooked:
        """Compares, lets the booking go on, and ends when everything that was reported before is
        booked. Raises LedgerUnavailableError; it may be run again after that, as after any end."""
        missing = await self.compare()
        through_number = await self._standing.last_booking_number()
        await self._standing.resume(await self._ledger.checkpoint(), self._clock.now())
        while left := await self._standing.count_open(through_number):
            self._tell(f"to be booked: {left:,}")
            if not await self._worker.run_once():
                await asyncio.sleep(PAUSE_SECONDS)
        return Rebooked(missing, (await self._store.backlog()).refused)

    async def compare(self) -> int:
        """Stops the booking, and sets back what the ledger has not; how many facts that is."""
        await self._standing.stop(StopReason.REBOOKING, self._clock.now())
        last_sequence = await self._ledger.last_sequence()
        after = await self._agreed()
        missing = 0
        while True:
            known = await self._ledger.request_ids_after(after)
            through = max(known, default=None)
            missing += await self._standing.reopen(after, through, known, self._clock.now())
            if through is None:
                return missing
            after = through
            self._tell(f"compared: {after:,} of {last_sequence:,}; missing: {missing:,}")

    async def _agreed(self) -> int:
        """Up to which sequence the log is certainly what it was: where the newest checkpoint that
        we were told of is still there."""
        checkpoint = (await self._standing.read()).checkpoint
        return checkpoint.tree_size if await still_has(self._ledger, checkpoint) else 0
