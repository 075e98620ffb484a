"""What a ledger had when it was last looked at, and whether facts are booked there.

A ledger that was restored from a backup, or that lost its last commits in a failover, has not what
it once told us that it had. Whoever notices stops the booking, in every process; only
`python -m gateway rebook` lets it go on, because between the stop and then the books are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.mapping import request_id
from gateway.bookkeeping.reporting import BOOKING, CHANNEL, BookingState
from runtime.sql_files import sql_statement

# Bookings that are set back in one transaction.
REOPEN_BATCH = 1_000

_REOPEN = sql_statement(__file__, "reopen_bookings")
_COUNT_OPEN = sql_statement(__file__, "count_open_bookings")

STANDING = Table(
    "ledger_standing",
    MetaData(),
    Column("ledger", Text, primary_key=True),
    Column("tree_size", BigInteger, nullable=False),
    Column("root_hash", LargeBinary, nullable=False),
    Column("check_time", DateTime(timezone=True)),
    Column("stop_reason", Text),
    Column("stop_time", DateTime(timezone=True)),
)


class StopReason(StrEnum):
    """Why nothing is booked."""

    # The ledger ends before a transaction that it told us of.
    BEHIND = "BEHIND"
    # It has another transaction in its place.
    OTHER_TRANSACTION = "OTHER_TRANSACTION"
    # It has not the checkpoint any more that it had, or one with another root.
    OTHER_ROOT = "OTHER_ROOT"
    # It gave a new transaction a sequence that an earlier one has.
    SEQUENCE_REUSED = "SEQUENCE_REUSED"
    # It does not have a transaction or an account that it said it has.
    TRANSACTION_GONE = "TRANSACTION_GONE"
    # `python -m gateway rebook` compares, or was ended before it had done so.
    REBOOKING = "REBOOKING"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How long a ledger's log was, and the root of its Merkle tree: 32 bytes, as in RFC 9162."""

    tree_size: int
    root_hash: bytes


NO_CHECKPOINT = Checkpoint(0, b"")


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest checkpoint that was seen, and why nothing is booked; None while all is well."""

    checkpoint: Checkpoint = NO_CHECKPOINT
    stop_reason: StopReason | None = None


@dataclass(frozen=True, slots=True)
class HighestBooking:
    """The booking with the highest sequence, and the request id that the ledger has there."""

    sequence: int
    request_id: str


class StandingStore:
    """How one ledger stands, in the gateway's database."""

    def __init__(self, engine: AsyncEngine, ledger: str) -> None:
        # Not in AUTOCOMMIT like the bookings: leader tasks are cancelled anywhere, and SQLAlchemy
        # loses a connection whose user is cancelled while it is put into that mode.
        self._engine = engine
        self._ledger = ledger

    async def read(self) -> Standing:
        """What was last written."""
        statement = select(STANDING.c.tree_size, STANDING.c.root_hash, STANDING.c.stop_reason)
        row = await self._first(statement.where(STANDING.c.ledger == self._ledger))
        if row is None:
            return Standing()
        reason = StopReason(row.stop_reason) if row.stop_reason else None
        return Standing(Checkpoint(row.tree_size, bytes(row.root_hash)), reason)

    async def highest_booking(self) -> HighestBooking | None:
        """The highest sequence that the ledger has told us of; None before the first."""
        row = await self._first(
            select(BOOKING.c.ledger_sequence, BOOKING.c.fact_id, BOOKING.c.revision)
            .where(*self._booked())
            .order_by(BOOKING.c.ledger_sequence.desc())
            .limit(1)
        )
        if row is None:
            return None
        return HighestBooking(row.ledger_sequence, request_id(row.fact_id, row.revision))

    async def reused_sequence(self, told: Mapping[int, int]) -> int | None:
        """Of sequences by booking number one at which another fact is booked, if there is one."""
        if not told:
            return None
        rows = await self._all(
            select(BOOKING.c.booking_number, BOOKING.c.ledger_sequence).where(
                *self._booked(), BOOKING.c.ledger_sequence.in_(told.values())
            )
        )
        for row in rows:
            if told.get(row.booking_number) != row.ledger_sequence:
                sequence: int = row.ledger_sequence
                return sequence
        return None

    async def stop(self, reason: StopReason, now: datetime) -> None:
        """Nothing is booked from here on; the reason of an earlier stop stays."""
        statement = upsert(STANDING).values(ledger=self._ledger, stop_reason=reason, stop_time=now)
        await self._execute(
            statement.on_conflict_do_update(
                index_elements=["ledger"],
                set_={"stop_reason": reason, "stop_time": now},
                where=STANDING.c.stop_time.is_(None),
            )
        )

    async def keep(self, checkpoint: Checkpoint, now: datetime) -> None:
        """The ledger was looked at and has this checkpoint, unless booking was stopped since."""
        values = _values(checkpoint, now)
        statement = upsert(STANDING).values(ledger=self._ledger, **values)
        await self._execute(
            statement.on_conflict_do_update(
                index_elements=["ledger"], set_=values, where=STANDING.c.stop_time.is_(None)
            )
        )

    async def resume(self, checkpoint: Checkpoint, now: datetime) -> None:
        """Takes the ledger as it is, and lets facts be booked again."""
        values = {**_values(checkpoint, now), "stop_reason": None, "stop_time": None}
        statement = upsert(STANDING).values(ledger=self._ledger, **values)
        await self._execute(statement.on_conflict_do_update(index_elements=["ledger"], set_=values))

    async def reopen(
        self, after: int, through: int | None, known: Mapping[int, str], now: datetime
    ) -> int:
        """Sets back to PENDING what is booked in a span of the log and is not there.

        `known` are the request ids that the ledger has after the sequence `after` and up to
        `through`, by their sequences; None is the end of the log. Returns how many were set back.
        """
        reopened = 0
        while True:
            async with self._engine.begin() as connection:
                result = await connection.execute(
                    _REOPEN,
                    {
                        "ledger": self._ledger,
                        "after": after,
                        "through": through,
                        "sequences": list(known),
                        "request_ids": list(known.values()),
                        "now": now,
                        "limit": REOPEN_BATCH,
                        "channel": CHANNEL,
                    },
                )
            batch = len(result.all())
            reopened += batch
            if batch < REOPEN_BATCH:
                return reopened

    async def last_booking_number(self) -> int:
        """The youngest fact's number; 0 before the first."""
        statement = select(BOOKING.c.booking_number).order_by(BOOKING.c.booking_number.desc())
        row = await self._first(statement.limit(1))
        return row.booking_number if row is not None else 0

    async def count_open(self, through_number: int) -> int:
        """Facts up to a number that wait for the ledger, and for no fact that it refused."""
        row = await self._first(_COUNT_OPEN.bindparams(through_number=through_number))
        assert row is not None, "a count is a row"
        count: int = row.open
        return count

    def _booked(self) -> tuple[Any, ...]:
        return BOOKING.c.ledger == self._ledger, BOOKING.c.state == BookingState.BOOKED

    async def _first(self, statement: Any) -> Any:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).first()

    async def _all(self, statement: Any) -> Any:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).all()

    async def _execute(self, statement: Any) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement)


def _values(checkpoint: Checkpoint, now: datetime) -> dict[str, Any]:
    return {
        "tree_size": checkpoint.tree_size,
        "root_hash": checkpoint.root_hash,
        "check_time": now,
    }
