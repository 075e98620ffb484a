"""Looks whether the ledger still has what it told us that it has, and stops the booking if not."""

from __future__ import annotations

from datetime import timedelta

from gateway.bookkeeping import telemetry
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.standing import (
    NO_CHECKPOINT,
    Checkpoint,
    HighestBooking,
    StandingStore,
    StopReason,
)
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop

# A ledger that was restored is noticed within so much time, if not by the next booking.
CHECK_INTERVAL = timedelta(seconds=10)

log = get_logger(__name__)


class LedgerCheck:
    """Compares the ledger with the highest sequence and the newest checkpoint it told us of.

    The transaction at the highest sequence says that no end of the log was lost; the checkpoint's
    root that nothing before it was changed. Checkpoints are never dropped, so a ledger that has
    none of that size has another history, even if it has grown past it again.
    """

    def __init__(self, standing: StandingStore, ledger: LedgerLog, clock: Clock) -> None:
        self._standing = standing
        self._ledger = ledger
        self._clock = clock

    def loop(self, interval: timedelta = CHECK_INTERVAL) -> Loop:
        """Checks again and again."""
        return Loop("ledger check", self._round, poll_seconds=interval.total_seconds())

    async def check(self) -> StopReason | None:
        """Checks once, unless the booking has stopped; why it is stopped.

        Raises LedgerUnavailableError when the ledger cannot be read.
        """
        kept = await self._standing.read()
        reason = kept.stop_reason
        if reason is None:
            # What is booked is read before the ledger, which therefore has it.
            highest = await self._standing.highest_booking()
            reason = await self._contradiction(highest, kept.checkpoint)
            now = self._clock.now()
            if reason is None:
                await self._standing.keep(await self._ledger.checkpoint(), now)
            else:
                log.critical(
                    "ledger_behind",
                    ledger=self._ledger.ledger,
                    reason=reason,
                    sequence=highest.sequence if highest is not None else 0,
                    tree_size=kept.checkpoint.tree_size,
                )
                await self._standing.stop(reason, now)
        telemetry.BEHIND.set(reason is not None)
        return reason

    async def _round(self) -> bool:
        await self.check()
        return False

    async def _contradiction(
        self, highest: HighestBooking | None, checkpoint: Checkpoint
    ) -> StopReason | None:
        if highest is not None:
            found = await self._ledger.request_id_at(highest.sequence)
            if found is None:
                return StopReason.BEHIND
            if found != highest.request_id:
                return StopReason.OTHER_TRANSACTION
        return None if await still_has(self._ledger, checkpoint) else StopReason.OTHER_ROOT


async def still_has(ledger: LedgerLog, checkpoint: Checkpoint) -> bool:
    """Whether the ledger has a checkpoint that it had. Raises LedgerUnavailableError."""
    return (
        checkpoint == NO_CHECKPOINT or await ledger.checkpoint(checkpoint.tree_size) == checkpoint
    )
