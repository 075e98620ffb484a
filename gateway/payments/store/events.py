"""The stream of changes: numbered after the commit, never inside it, and read from there."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import NUMBERING_LOCK, Epochs, FeedName, epoch_of, epochs
from gateway.operations.gate import Gate
from gateway.payments.store.schema import EVENT, EVENT_CHANNEL
from runtime.sql_files import sql_statement

NUMBER_BATCH = 1_000

_NUMBER = sql_statement(__file__, "number_events")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One change with its place in the stream."""

    epoch: int
    sequence: int
    payment_id: str
    merchant_id: str
    transition: str
    previous_state: str | None
    snapshot: bytes
    record_time: datetime


# What a StoredEvent is read from.
STORED = (
    epoch_of(FeedName.PAYMENTS, EVENT.c.sequence),
    EVENT.c.sequence,
    EVENT.c.payment_id,
    EVENT.c.merchant_id,
    EVENT.c.transition,
    EVENT.c.previous_state,
    EVENT.c.snapshot,
    EVENT.c.record_time,
)


async def number_events(connection: AsyncConnection) -> int:
    """Gives new events their sequence; returns how many. 0 too if another process is at it."""
    locked = await connection.execute(select(func.pg_try_advisory_xact_lock(NUMBERING_LOCK)))
    if not locked.scalar_one():
        return 0
    numbered = (await connection.execute(_NUMBER, {"limit": NUMBER_BATCH})).rowcount
    if numbered:
        await connection.execute(select(func.pg_notify(EVENT_CHANNEL, "")))
    return numbered


async def events_after(
    connection: AsyncConnection,
    sequence: int,
    merchant_id: str,
    payment_id: str,
    limit: int,
    transitions: Collection[str] = (),
) -> list[StoredEvent]:
    """The next events of the stream, of one merchant, payment or kind if asked, `limit` at most."""
    statement = select(*STORED).where(EVENT.c.sequence > sequence)
    if merchant_id:
        statement = statement.where(EVENT.c.merchant_id == merchant_id)
    if payment_id:
        statement = statement.where(EVENT.c.payment_id == payment_id)
    if transitions:
        statement = statement.where(EVENT.c.transition.in_(transitions))
    rows = await connection.execute(statement.order_by(EVENT.c.sequence).limit(limit))
    return [StoredEvent(**row._mapping) for row in rows]


async def event_epochs(connection: AsyncConnection) -> Epochs:
    """The epochs of the stream, and its end."""
    return await epochs(connection, FeedName.PAYMENTS, await newest_sequence(connection))


async def newest_sequence(connection: AsyncConnection) -> int:
    """The last sequence of the stream; 0 before the first."""
    newest = select(func.coalesce(func.max(EVENT.c.sequence), 0))
    sequence: int = (await connection.execute(newest)).scalar_one()
    return sequence


# Under load, changes that come within so much time of one another are numbered together.
GATHER_SECONDS = 0.05


class Numbering:
    """Numbers new events; of all processes that try, one does it at a time. None while the database
    is known to have lost something: what follows belongs to another epoch."""

    def __init__(self, engine: AsyncEngine, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate

    async def round(self) -> bool:
        """Numbers what is new; True if there may be more at once."""
        if self._gate.closed:
            return False
        async with self._engine.begin() as connection:
            numbered = await number_events(connection)
        if 0 < numbered < NUMBER_BATCH:
            await asyncio.sleep(GATHER_SECONDS)
        return numbered == NUMBER_BATCH
