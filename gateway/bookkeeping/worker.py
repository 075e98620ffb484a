"""The bookkeeping worker: brings reported facts to the ledger, however long it is away.

It never touches a payment. Several may run: leases keep them apart, fencing keeps a late one from
writing, and the ledger's request ids keep a fact from being booked twice, whichever process dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from gateway.bookkeeping import telemetry
from gateway.bookkeeping.ledger_client import (
    Booked,
    LedgerBooks,
    LedgerUnavailableError,
    Outcome,
    Postponed,
    Refused,
)
from gateway.bookkeeping.ledger_requests import LedgerItem, ledger_item
from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.store import BookingStore, ClaimedBooking, Settlement
from gateway.bookkeeping.telemetry import booking_span
from runtime.clock import Clock
from runtime.logs import get_logger, place_of
from runtime.tasks import cancel

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Bounds of the worker's batches, leases and pauses."""

    max_bookings: int = 200
    # Longer than the slowest call to the ledger with its retries.
    lease: timedelta = timedelta(seconds=60)
    # Without a notification it looks by itself: for leases that ended and attempts that are due.
    poll: timedelta = timedelta(seconds=1)
    # Facts that come within so much time of one another are booked together.
    gather: timedelta = timedelta(milliseconds=50)
    # Pauses are drawn between zero and a bound that doubles from the first to the last.
    first_pause: timedelta = timedelta(milliseconds=100)
    last_pause: timedelta = timedelta(seconds=5)
    # One fact that the ledger fails on is tried ever more rarely, without end.
    last_postponement: timedelta = timedelta(minutes=10)
    backlog_interval: timedelta = timedelta(seconds=10)


DEFAULT_LIMITS = WorkerLimits()


class Wake(Protocol):
    """Notifies an idle worker that a fact was reported."""

    async def wait(self, seconds: float) -> None:
        """Returns when notified, at the latest after that time."""
        ...


class BookkeepingWorker:
    """Claims facts that are due, books them, writes what became of them, in a loop."""

    def __init__(
        self,
        store: BookingStore,
        books: LedgerBooks,
        clock: Clock,
        *,
        random: Random,
        limits: WorkerLimits = DEFAULT_LIMITS,
    ) -> None:
        self._store = store
        self._books = books
        self._clock = clock
        self._random = random
        self._limits = limits
        self._failures = 0
        self._counted_at: datetime | None = None

    async def run(self, wake: Wake, stop: asyncio.Event) -> None:
        """Works until `stop` is set; a batch that has begun is finished. `wake` ends a rest.

        Cancelling it is safe too, but leaves the batch in hand until its lease ends.
        """
        while not stop.is_set():
            worked = await self._work()
            if self._failures:
                pause = self._backoff(self._failures, self._limits.last_pause)
                await _first_of(asyncio.sleep(pause.total_seconds()), stop.wait())
            elif worked:
                await _first_of(asyncio.sleep(self._limits.gather.total_seconds()), stop.wait())
            else:
                await _first_of(wake.wait(self._limits.poll.total_seconds()), stop.wait())

    async def run_once(self) -> int:
        """One batch: returns how many facts were decided, booked or refused.

        Raises LedgerUnavailableError when the ledger cannot be used; the facts stay as they were.
        """
        claimed = await self._store.claim(
            now=self._clock.now(),
            lease=self._limits.lease,
            max_bookings=self._limits.max_bookings,
        )
        if not claimed:
            return 0
        try:
            with booking_span(booking.trace_parent for booking in claimed) as span:
                span.set_attribute("gateway.bookings", len(claimed))
                outcomes = await self._book(claimed)
        except LedgerUnavailableError as error:
            await self._release(claimed, error)
            raise
        now = self._clock.now()
        settlements = [
            self._settlement(booking, outcome, now)
            for booking, outcome in zip(claimed, outcomes, strict=True)
        ]
        written = await self._store.settle(settlements, now=now)
        self._report(settlements, written, now)
        return sum(
            settlement.state is not BookingState.PENDING
            and settlement.booking.booking_number in written
            for settlement in settlements
        )

    async def count_backlog(self) -> None:
        """Updates the gauges of what is not booked."""
        backlog = await self._store.backlog()
        now = self._clock.now()
        self._counted_at = now
        telemetry.PENDING.set(backlog.pending)
        telemetry.REFUSED.set(backlog.refused)
        oldest = backlog.oldest_pending_time
        telemetry.LAG_SECONDS.set((now - oldest).total_seconds() if oldest else 0)

    async def _work(self) -> bool:
        """One batch and, when due, the gauges; whether to look for more at once."""
        try:
            if self._backlog_is_due():
                await self.count_backlog()
            decided = await self.run_once()
        except (LedgerUnavailableError, SQLAlchemyError, OSError) as error:
            if not self._failures:
                log.warning("bookkeeping_waits", cause=type(error).__name__, detail=_detail(error))
            self._failures += 1
            return False
        except Exception as error:  # noqa: BLE001 (a defect of ours must not end bookkeeping)
            # What it left leased comes back.
            log.error("bookkeeping_failed", **place_of(error))
            self._failures += 1
            return False
        if self._failures:
            log.info("bookkeeping_goes_on", failures=self._failures)
        self._failures = 0
        return decided > 0

    def _backlog_is_due(self) -> bool:
        return (
            self._counted_at is None
            or self._clock.now() - self._counted_at >= self._limits.backlog_interval
        )

    async def _book(self, claimed: Sequence[ClaimedBooking]) -> list[Outcome]:
        """One outcome per booking; those that cannot even be put into words are refused here."""
        prepared: list[LedgerItem | Refused] = [_prepare(booking) for booking in claimed]
        items = [item for item in prepared if isinstance(item, LedgerItem)]
        answers = iter(await self._books.book(items) if items else [])
        return [item if isinstance(item, Refused) else next(answers) for item in prepared]

    async def _release(
        self, claimed: Sequence[ClaimedBooking], error: LedgerUnavailableError
    ) -> None:
        now = self._clock.now()
        telemetry.OUTCOMES.labels("unavailable").inc(len(claimed))
        await self._store.settle(
            [
                Settlement(
                    booking=booking,
                    state=BookingState.PENDING,
                    next_attempt_time=now,
                    failure_reason="LEDGER_UNAVAILABLE",
                    failure_message=str(error),
                )
                for booking in claimed
            ],
            now=now,
        )

    def _settlement(self, booking: ClaimedBooking, outcome: Outcome, now: datetime) -> Settlement:
        match outcome:
            case Booked(sequence):
                return Settlement(booking, BookingState.BOOKED, now, ledger_sequence=sequence)
            case Refused(reason, message):
                return Settlement(
                    booking,
                    BookingState.REFUSED,
                    now,
                    failure_reason=reason,
                    failure_message=message,
                )
            case Postponed(reason, message):
                pause = self._backoff(booking.attempts, self._limits.last_postponement)
                return Settlement(
                    booking,
                    BookingState.PENDING,
                    now + pause,
                    failure_reason=reason,
                    failure_message=message,
                )

    def _report(self, settlements: Sequence[Settlement], written: set[int], now: datetime) -> None:
        for settlement in settlements:
            booking = settlement.booking
            if booking.booking_number not in written:
                telemetry.OUTCOMES.labels("lease_lost").inc()
            elif settlement.state is BookingState.BOOKED:
                telemetry.OUTCOMES.labels("booked").inc()
                telemetry.DELAY_SECONDS.observe((now - booking.create_time).total_seconds())
            else:
                refused = settlement.state is BookingState.REFUSED
                telemetry.OUTCOMES.labels("refused" if refused else "postponed").inc()
                log.error(
                    "booking_refused" if refused else "booking_postponed",
                    booking_number=booking.booking_number,
                    fact_kind=booking.kind,
                    reason=settlement.failure_reason,
                    attempts=booking.attempts,
                )

    def _backoff(self, failures: int, most: timedelta) -> timedelta:
        """Full jitter: anything up to a bound that doubles with each failure."""
        doublings = min(failures - 1, 30)
        bound: timedelta = min(self._limits.first_pause * 2**doublings, most)
        return bound * self._random.random()


def _prepare(booking: ClaimedBooking) -> LedgerItem | Refused:
    try:
        return ledger_item(
            booking.read_fact(),
            revision=booking.revision,
            required_sequence=booking.required_sequence,
        )
    except (KeyError, TypeError, ValueError) as error:
        return Refused("FACT_UNREADABLE", f"{type(error).__name__}: {error}")


def _detail(error: Exception) -> str:
    return error.reason if isinstance(error, LedgerUnavailableError) else ""


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns when one of them does, and cancels the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel(*tasks)
