"""The bookkeeping worker: brings reported facts to the ledger, however long it is away.

It never touches a payment. Several may run: leases keep them apart, fencing keeps a late one from
writing, and the ledger's request ids keep a fact from being booked twice, whichever process dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NoReturn

from gateway.bookkeeping import telemetry
from gateway.bookkeeping.ledger_client import (
    NOTHING_LEFT,
    Booked,
    LedgerBehindError,
    LedgerBooks,
    LedgerUnavailableError,
    Outcome,
    Postponed,
    Refused,
    Renewed,
)
from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.standing import StopReason
from gateway.bookkeeping.store import BookingOutcome, BookingStore, ClaimedBooking
from gateway.bookkeeping.telemetry import booking_span
from runtime.backoff import Backoff
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import DEFAULT_BACKOFF, Loop
from runtime.notifier import Notifier

POSTPONEMENT = Backoff(timedelta(milliseconds=100), timedelta(minutes=10))

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
    # While the ledger or the database is away.
    backoff: Backoff = DEFAULT_BACKOFF
    # One fact that the ledger fails on is tried ever more rarely, without end.
    postponement: Backoff = POSTPONEMENT
    backlog_interval: timedelta = timedelta(seconds=10)


DEFAULT_LIMITS = WorkerLimits()


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
        self._items = Items("bookings to book")
        self._counted_at: datetime | None = None

    def loop(self, notifier: Notifier, finish_seconds: float = 0.0) -> Loop:
        """Works; `notifier` tells of new facts. A batch that has begun has so long to be finished;
        what is cut off comes back when its lease ends."""
        return Loop(
            "bookkeeping",
            self._round,
            poll_seconds=self._limits.poll.total_seconds(),
            notifier=notifier,
            between_seconds=self._limits.gather.total_seconds(),
            finish_seconds=finish_seconds,
            backoff=self._limits.backoff,
            jitter=self._random.random,
        )

    async def run_once(self) -> int:
        """One batch: returns how many facts were decided, booked or refused.

        Raises LedgerUnavailableError when the ledger cannot be used, and LedgerBehindError when it
        must not be, because it has lost what it had; the facts stay as they were.
        """
        claimed = await self._store.claim(
            now=self._clock.now(),
            lease=self._limits.lease,
            max_bookings=self._limits.max_bookings,
        )
        if not claimed:
            await self._check_going_on()
            return 0
        try:
            with booking_span(booking.trace_parent for booking in claimed) as span:
                span.set_attribute("gateway.bookings", len(claimed))
                answers = await self._book(claimed)
            renewed = await self._renew(claimed, answers)
            await self._check_sequences(answers)
        except LedgerUnavailableError as error:
            await self._release(claimed, error)
            raise
        now = self._clock.now()
        outcomes = [
            self._outcome(booking, answer, now)
            for booking in claimed
            if (answer := answers.get(booking.booking_number)) is not None
            and not isinstance(answer, Renewed)
        ]
        written = await self._store.finish(outcomes, now=now)
        self._report(outcomes, written, now)
        return renewed + sum(
            outcome.state is not BookingState.PENDING and outcome.booking.booking_number in written
            for outcome in outcomes
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
        standing = await self._store.standing.read()
        telemetry.BEHIND.set(standing.stop_reason is not None)

    async def _check_going_on(self) -> None:
        """Raises LedgerBehindError if there was nothing to do because the booking is stopped."""
        reason = (await self._store.standing.read()).stop_reason
        if reason is not None:
            raise LedgerBehindError(reason)

    async def _renew(
        self, claimed: Sequence[ClaimedBooking], answers: Mapping[int, Outcome]
    ) -> int:
        """Has facts asked for under their next request ids, and counts them; that holds whatever
        else is found. A ledger that has not what it said it has stops the booking: raises
        LedgerBehindError."""
        now = self._clock.now()
        renewed = [
            (booking, answer)
            for booking in claimed
            if isinstance(answer := answers.get(booking.booking_number), Renewed)
        ]
        outcomes = [
            BookingOutcome(
                booking,
                BookingState.PENDING,
                now,
                failure_reason=answer.reason,
                failure_message=answer.message,
                renewed=True,
            )
            for booking, answer in renewed
        ]
        self._report(outcomes, await self._store.finish(outcomes, now=now), now)
        if any(answer.is_behind for _, answer in renewed):
            await self._stop(StopReason.TRANSACTION_GONE)
        return len(renewed)

    async def _stop(self, reason: StopReason, **details: int) -> NoReturn:
        await self._store.standing.stop(reason, self._clock.now())
        telemetry.BEHIND.set(1)
        log.critical("ledger_behind", reason=reason, **details)
        raise LedgerBehindError(reason)

    async def _check_sequences(self, answers: Mapping[int, Outcome]) -> None:
        """A sequence that two facts are told is one that the ledger had lost in between: stops the
        booking and raises LedgerBehindError, before anything is taken for booked."""
        told = {
            number: answer.sequence
            for number, answer in answers.items()
            if isinstance(answer, Booked) and answer.sequence != NOTHING_LEFT
        }
        sequence = await self._store.standing.reused_sequence(told)
        if sequence is None:
            return
        await self._stop(StopReason.SEQUENCE_REUSED, sequence=sequence)

    async def _round(self) -> bool:
        """One batch and, when due, the gauges; whether to look for more at once."""
        if self._backlog_is_due():
            await self.count_backlog()
        return await self.run_once() > 0

    def _backlog_is_due(self) -> bool:
        return (
            self._counted_at is None
            or self._clock.now() - self._counted_at >= self._limits.backlog_interval
        )

    async def _book(self, claimed: Sequence[ClaimedBooking]) -> dict[int, Outcome]:
        """Outcomes by booking number. Of a booking on which we fail ourselves there is none: it
        stays leased, and comes back."""
        outcomes: dict[int, Outcome] = {}

        async def book(bookings: Sequence[ClaimedBooking]) -> None:
            answers = await self._books.book([booking.item for booking in bookings])
            for booking, answer in zip(bookings, answers, strict=True):
                outcomes[booking.booking_number] = _renewed_if_void(booking, answer)

        await self._items.together(claimed, book, lambda booking: str(booking.booking_number))
        return outcomes

    async def _release(
        self, claimed: Sequence[ClaimedBooking], error: LedgerUnavailableError
    ) -> None:
        now = self._clock.now()
        telemetry.OUTCOMES.labels("unavailable").inc(len(claimed))
        await self._store.finish(
            [
                BookingOutcome(
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

    def _outcome(
        self, booking: ClaimedBooking, answer: Booked | Refused | Postponed, now: datetime
    ) -> BookingOutcome:
        match answer:
            case Booked(sequence):
                return BookingOutcome(booking, BookingState.BOOKED, now, ledger_sequence=sequence)
            case Refused(reason, message):
                return BookingOutcome(
                    booking,
                    BookingState.REFUSED,
                    now,
                    failure_reason=reason,
                    failure_message=message,
                )
            case Postponed(reason, message):
                pause = self._limits.postponement.pause(booking.attempts, self._random.random())
                return BookingOutcome(
                    booking,
                    BookingState.PENDING,
                    now + pause,
                    failure_reason=reason,
                    failure_message=message,
                )

    def _report(self, outcomes: Sequence[BookingOutcome], written: set[int], now: datetime) -> None:
        for outcome in outcomes:
            booking = outcome.booking
            if booking.booking_number not in written:
                telemetry.OUTCOMES.labels("lease_lost").inc()
            elif outcome.state is BookingState.BOOKED:
                telemetry.OUTCOMES.labels("booked").inc()
                telemetry.DELAY_SECONDS.observe((now - booking.create_time).total_seconds())
            else:
                refused = outcome.state is BookingState.REFUSED
                telemetry.OUTCOMES.labels("refused" if refused else "postponed").inc()
                log.error(
                    "booking_refused" if refused else "booking_postponed",
                    booking_number=booking.booking_number,
                    fact_kind=booking.kind,
                    reason=outcome.failure_reason,
                    attempts=booking.attempts,
                )


def _renewed_if_void(booking: ClaimedBooking, answer: Outcome) -> Outcome:
    """A hold that the ledger has had released, and we have not: an attempt that our database has
    lost took nothing, and the same attempt is made once more. It needs a hold that stands."""
    if isinstance(answer, Booked) and answer.is_void and not booking.is_released:
        return Renewed("HOLD_ALREADY_VOIDED", "released by a lost attempt", is_behind=False)
    return answer
