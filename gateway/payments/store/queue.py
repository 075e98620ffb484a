"""The queue of a corridor in the database: operations that wait for it, in the order of their
payments."""

from datetime import datetime

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations.operation import Operation
from gateway.operations.store import OPERATION, workable
from runtime.sql_files import columns_of, sql_statement

_CLAIM_HEAD = sql_statement(
    __file__, "claim_queue_head", columns=columns_of(OPERATION, "operation")
)
_OPEN = OPERATION.c.end_time.is_(None)


async def claim_queue_head(
    connection: AsyncConnection, corridor: str, now: datetime, lease_until: datetime, limit: int
) -> list[Operation]:
    """Leases up to `limit` operations from the head of a corridor's queue, in order; none behind
    one that somebody holds or whose time has not come."""
    parameters = {
        "corridor": corridor, "now": now, "lease_until": lease_until, "limit": limit
    }  # fmt: skip
    operations = await workable(connection, await connection.execute(_CLAIM_HEAD, parameters))
    return sorted(operations, key=_place)


async def queue_length(connection: AsyncConnection, corridor: str, at_most: int) -> int:
    """How many wait in the queue for a corridor, counted up to `at_most`."""
    waiting = (
        select(OPERATION.c.id)
        .where(OPERATION.c.corridor == corridor, _OPEN, OPERATION.c.queued)
        .limit(at_most)
        .subquery()
    )
    return (await connection.execute(select(func.count()).select_from(waiting))).scalar_one()


async def queue_position(
    connection: AsyncConnection, corridor: str, create_time: datetime, payment_id: str
) -> int:
    """The payment's place in the queue of its corridor; 1 is next."""
    statement = select(func.count()).where(
        OPERATION.c.corridor == corridor,
        _OPEN,
        OPERATION.c.queued,
        tuple_(OPERATION.c.queue_time, OPERATION.c.subject_id)
        <= tuple_(literal(create_time), literal(payment_id)),
    )
    return (await connection.execute(statement)).scalar_one()


async def queued_corridors(connection: AsyncConnection) -> list[str]:
    """The corridors that payments wait in the queue for."""
    statement = select(OPERATION.c.corridor).where(_OPEN, OPERATION.c.queued).distinct()
    return list((await connection.execute(statement)).scalars())


def _place(operation: Operation) -> tuple[datetime, str]:
    assert operation.queue_time is not None, "it is queued"
    return operation.queue_time, operation.subject_id
