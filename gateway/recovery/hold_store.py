"""What the database knows of holds that the ledger has, and those of which it knows nothing."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    exists,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.bookkeeping.ledger_log import PlacedHold
from gateway.bookkeeping.reporting import BOOKING, CHANNEL, BookingState

UNKNOWN_HOLD = Table(
    "unknown_hold",
    MetaData(),
    Column("fact_id", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("found_time", DateTime(timezone=True), nullable=False),
)
_KEY = tuple_(UNKNOWN_HOLD.c.fact_id, UNKNOWN_HOLD.c.revision)


async def unbooked(
    connection: AsyncConnection, ledger: str, sequences: Collection[int]
) -> list[int]:
    """Those of the ledger's sequences at which no fact of ours is booked, in their order."""
    rows = await connection.execute(
        select(BOOKING.c.ledger_sequence).where(
            BOOKING.c.ledger == ledger,
            BOOKING.c.state == BookingState.BOOKED,
            BOOKING.c.ledger_sequence.in_(sequences),
        )
    )
    return sorted(set(sequences) - set(rows.scalars()))


async def reported(connection: AsyncConnection, fact_ids: Collection[str]) -> set[str]:
    """Those of the facts that were reported."""
    rows = await connection.execute(
        select(BOOKING.c.fact_id).where(BOOKING.c.fact_id.in_(fact_ids))
    )
    return set(rows.scalars())


async def keep_unknown(
    connection: AsyncConnection, holds: Iterable[PlacedHold], found_time: datetime
) -> None:
    """Writes down that they wait; those that do already wait since they were found."""
    rows = [
        {
            "fact_id": hold.fact_id,
            "revision": hold.revision,
            "payment_id": hold.payment_id,
            "corridor": hold.corridor,
            "found_time": found_time,
        }
        for hold in holds
    ]
    if rows:
        await connection.execute(insert_or_ignore(UNKNOWN_HOLD).on_conflict_do_nothing(), rows)


async def waiting(connection: AsyncConnection) -> dict[tuple[str, int], datetime]:
    """Which holds wait, and since when."""
    rows = await connection.execute(
        select(UNKNOWN_HOLD.c.fact_id, UNKNOWN_HOLD.c.revision, UNKNOWN_HOLD.c.found_time)
    )
    return {(row.fact_id, row.revision): row.found_time for row in rows}


async def drop_unknown(connection: AsyncConnection, keys: Collection[tuple[str, int]]) -> None:
    """They are decided about, or known by now."""
    if keys:
        await connection.execute(delete(UNKNOWN_HOLD).where(_KEY.in_(list(keys))))


async def forget_waiting(connection: AsyncConnection) -> None:
    """Lets all of them wait from the beginning."""
    await connection.execute(delete(UNKNOWN_HOLD))


async def standing_facts(connection: AsyncConnection, fact_ids: Collection[str]) -> dict[str, int]:
    """Those of the holds that were reported and whose release was not, with their revisions."""
    release = BOOKING.alias("release")
    rows = await connection.execute(
        select(BOOKING.c.fact_id, BOOKING.c.revision).where(
            BOOKING.c.fact_id.in_(fact_ids),
            BOOKING.c.state != BookingState.REFUSED,
            ~exists().where(
                # A hold is a payment's, by whose facts it is found.
                release.c.payment_id == BOOKING.c.payment_id,
                release.c.requires == BOOKING.c.fact_id,
                release.c.kind == "hold_released",
            ),
        )
    )
    return {row.fact_id: row.revision for row in rows}


async def place_anew(
    connection: AsyncConnection, fact_id: str, revision: int, now: datetime
) -> bool:
    """Has a hold booked under its next request id, because the ledger has released it under this
    one; whether it still was so."""
    statement = (
        update(BOOKING)
        .where(BOOKING.c.fact_id == fact_id, BOOKING.c.revision == revision)
        .values(
            state=BookingState.PENDING,
            revision=revision + 1,
            ledger=None,
            ledger_sequence=None,
            decide_time=None,
            lease_until=None,
            fencing_token=BOOKING.c.fencing_token + 1,
            next_attempt_time=now,
        )
        .returning(func.pg_notify(CHANNEL, ""))
    )
    return (await connection.execute(statement)).first() is not None
