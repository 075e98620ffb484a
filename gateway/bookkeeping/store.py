"""The bookkeeping worker's SQL: leasing facts that are due and writing what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping import telemetry
from gateway.bookkeeping.codec import KINDS, from_json
from gateway.bookkeeping.ledger_requests import LedgerItem, ledger_item
from gateway.bookkeeping.reporting import BOOKING, CHANNEL, BookingState
from gateway.bookkeeping.standing import StandingStore
from runtime.items import DeadLetter, Items
from runtime.sql_files import sql_statement

_CLAIM = sql_statement(__file__, "claim_bookings")
_FINISH = sql_statement(__file__, "finish_bookings")
_BACKLOG = sql_statement(__file__, "read_backlog")


@dataclass(frozen=True, slots=True)
class ClaimedBooking:
    """A fact that this worker may book until its lease ends, as the ledger is asked for it.

    `attempts` counts this attempt; `is_released` says of a hold whether its release was reported.
    """

    booking_number: int
    fencing_token: int
    kind: str
    item: LedgerItem
    attempts: int
    trace_parent: str | None
    create_time: datetime
    is_released: bool


@dataclass(frozen=True, slots=True)
class BookingOutcome:
    """What became of a claimed booking: PENDING means that it is tried again."""

    booking: ClaimedBooking
    state: BookingState
    next_attempt_time: datetime
    ledger_sequence: int | None = None
    failure_reason: str | None = None
    failure_message: str | None = None
    # It is tried again under its next request id.
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """Facts that the ledger does not have yet."""

    pending: int
    refused: int
    oldest_pending_time: datetime | None


class BookingStore:
    """The bookings of one gateway database. `ledger` is the name of the ledger they go to."""

    def __init__(self, engine: AsyncEngine, ledger: str) -> None:
        self._transactions = engine
        # Most methods are one statement, which needs no BEGIN and COMMIT around it.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._ledger = ledger
        self._items = Items("bookings")
        # Whether facts are booked at all.
        self.standing = StandingStore(engine, ledger)

    async def claim(
        self, *, now: datetime, lease: timedelta, max_bookings: int
    ) -> list[ClaimedBooking]:
        """Leases up to `max_bookings` facts, oldest first, at most one of each subject; none
        while the booking is stopped.

        Facts of kinds that only a newer release knows are left to it. One that cannot be read, or
        that no request to the ledger can be made of, is refused.
        """
        problems: dict[str, str] = {}

        def read(row: Any) -> ClaimedBooking:
            try:
                return _claimed(row)
            except Exception as error:
                problems[str(row.booking_number)] = f"{type(error).__name__}: {error}"
                raise

        async with self._transactions.begin() as connection:
            rows = (
                await connection.execute(
                    _CLAIM,
                    {
                        "ledger": self._ledger,
                        "now": now,
                        "lease_until": now + lease,
                        "max_bookings": max_bookings,
                        "kinds": list(KINDS),
                    },
                )
            ).all()

            async def refuse(dead: Sequence[DeadLetter]) -> None:
                for letter in dead:
                    await connection.execute(
                        update(BOOKING)
                        .where(BOOKING.c.booking_number == int(letter.key))
                        .values(
                            state=BookingState.REFUSED,
                            failure_reason="FACT_UNREADABLE",
                            failure_message=problems[letter.key],
                            decide_time=now,
                            lease_until=None,
                        )
                    )

            claimed = await self._items.claimed(
                sorted(rows, key=lambda row: int(row.booking_number)),
                read,
                lambda row: str(row.booking_number),
                refuse,
            )
        telemetry.OUTCOMES.labels("refused").inc(len(problems))
        return claimed

    async def finish(self, outcomes: Sequence[BookingOutcome], *, now: datetime) -> set[int]:
        """Writes outcomes; returns the booking numbers written. The others' leases were lost."""
        if not outcomes:
            return set()
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                _FINISH,
                {
                    "ledger": self._ledger,
                    "now": now,
                    "booking_numbers": [outcome.booking.booking_number for outcome in outcomes],
                    "fencing_tokens": [outcome.booking.fencing_token for outcome in outcomes],
                    "states": [outcome.state.value for outcome in outcomes],
                    "ledger_sequences": [outcome.ledger_sequence for outcome in outcomes],
                    "failure_reasons": [outcome.failure_reason for outcome in outcomes],
                    "failure_messages": [outcome.failure_message for outcome in outcomes],
                    "next_attempt_times": [outcome.next_attempt_time for outcome in outcomes],
                    "renewals": [int(outcome.renewed) for outcome in outcomes],
                },
            )
            return {row.booking_number for row in rows}

    async def backlog(self) -> Backlog:
        """Counts what is not booked."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_BACKLOG)).one()
        return Backlog(row.pending, row.refused, row.oldest_pending_time)

    async def retry_refused(self, fact_id: str, *, now: datetime) -> bool:
        """Lets a refused fact be tried again, once people have removed the cause.

        It gets a new request id, because the ledger keeps its refusal under the old one. Returns
        False if no such fact is refused. A conflicting report is not tried: it is no fact.
        """
        async with self._engine.connect() as connection:
            retried = await connection.execute(
                update(BOOKING)
                .where(
                    BOOKING.c.fact_id == fact_id,
                    BOOKING.c.state == BookingState.REFUSED,
                    BOOKING.c.failure_reason != "FACT_CONFLICT",
                )
                .values(
                    state=BookingState.PENDING,
                    revision=BOOKING.c.revision + 1,
                    next_attempt_time=now,
                    decide_time=None,
                )
                .returning(func.pg_notify(CHANNEL, ""))
            )
            return retried.first() is not None


def _claimed(row: Any) -> ClaimedBooking:
    item = ledger_item(
        from_json(row.kind, row.fact),
        revision=row.revision,
        required_revision=row.required_revision,
    )
    return ClaimedBooking(
        booking_number=row.booking_number,
        fencing_token=row.fencing_token,
        kind=row.kind,
        item=item,
        attempts=row.attempts,
        trace_parent=row.trace_parent,
        create_time=row.create_time,
        is_released=row.is_released,
    )
