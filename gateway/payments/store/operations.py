"""Operations in the database: leased, fenced, claimed in batches."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.domain.operation import Operation
from gateway.payments.store.rows import operation_of, operation_row
from gateway.payments.store.schema import OPERATION, OPERATION_CHANNEL
from runtime.sql_files import sql_statement

MAX_OPERATIONS_OF_A_PAYMENT = 1_000

_CLAIM = sql_statement(__file__, "claim_operations")
_CLAIM_HEAD = sql_statement(__file__, "claim_queue_head")
_OPEN = OPERATION.c.end_time.is_(None)


class LeaseLostError(Exception):
    """The operation belongs to another process by now, or is decided: nothing may be written."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(operation_id)
        self.operation_id = operation_id


async def add_operation(connection: AsyncConnection, operation: Operation) -> None:
    """Inserts a new operation of a payment that the caller has locked."""
    await connection.execute(insert(OPERATION), operation_row(operation))


async def save_operation(connection: AsyncConnection, operation: Operation) -> None:
    """Writes an operation that the caller holds the lease of. Raises LeaseLostError."""
    row: dict[str, Any] = operation_row(operation)
    token = row.pop("fencing_token")
    statement = (
        update(OPERATION)
        .where(OPERATION.c.id == operation.id, OPERATION.c.fencing_token == token, _OPEN)
        .values(row)
    )
    if (await connection.execute(statement)).rowcount != 1:
        raise LeaseLostError(operation.id)


async def take_from(connection: AsyncConnection, operation: Operation) -> None:
    """Writes an operation whoever may hold its lease: their token is worth nothing afterwards."""
    row = {**operation_row(operation), "fencing_token": operation.fencing_token + 1}
    statement = update(OPERATION).where(OPERATION.c.id == operation.id, _OPEN).values(row)
    if (await connection.execute(statement)).rowcount != 1:
        raise LeaseLostError(operation.id)


async def claim(
    connection: AsyncConnection, now: datetime, lease_until: datetime, limit: int
) -> list[Operation]:
    """Leases up to `limit` operations that are due and not in the queue."""
    rows = await connection.execute(
        _CLAIM, {"now": now, "lease_until": lease_until, "limit": limit}
    )
    return [operation_of(row) for row in rows]


async def claim_queue_head(
    connection: AsyncConnection, corridor: str, now: datetime, lease_until: datetime, limit: int
) -> list[Operation]:
    """Leases up to `limit` operations from the head of a corridor's queue, in order; none behind
    one that somebody holds or whose time has not come."""
    parameters = {
        "corridor": corridor, "now": now, "lease_until": lease_until, "limit": limit
    }  # fmt: skip
    rows = await connection.execute(_CLAIM_HEAD, parameters)
    return sorted(map(operation_of, rows), key=lambda operation: operation.payment_id)


async def get_operation(connection: AsyncConnection, operation_id: str) -> Operation | None:
    """The operation as it stands."""
    row = (
        await connection.execute(select(OPERATION).where(OPERATION.c.id == operation_id))
    ).first()
    return operation_of(row) if row is not None else None


async def operations_of(
    connection: AsyncConnection, payment_id: str, limit: int = MAX_OPERATIONS_OF_A_PAYMENT
) -> list[Operation]:
    """A payment's operations, in order."""
    statement = (
        select(OPERATION)
        .where(OPERATION.c.payment_id == payment_id)
        .order_by(OPERATION.c.operation_number)
        .limit(limit)
    )
    return [operation_of(row) for row in await connection.execute(statement)]


async def open_operation_of(connection: AsyncConnection, payment_id: str) -> Operation | None:
    """The payment's first operation that is not decided."""
    statement = (
        select(OPERATION)
        .where(OPERATION.c.payment_id == payment_id, _OPEN)
        .order_by(OPERATION.c.operation_number)
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return operation_of(row) if row is not None else None


async def hurry(connection: AsyncConnection, payment_id: str, now: datetime) -> bool:
    """Has the payment's open operations looked at now: there may be news about them. Says whether
    there are any that would have waited."""
    hurried = await connection.execute(
        update(OPERATION)
        .where(OPERATION.c.payment_id == payment_id, _OPEN, OPERATION.c.next_attempt_time > now)
        .values(next_attempt_time=now)
    )
    return hurried.rowcount > 0


async def call_workers(connection: AsyncConnection) -> None:
    """Wakes the workers of every process when the transaction commits."""
    await connection.execute(select(func.pg_notify(OPERATION_CHANNEL, "")))


async def queue_length(connection: AsyncConnection, corridor: str, at_most: int) -> int:
    """How many wait in the queue for a corridor, counted up to `at_most`."""
    waiting = (
        select(OPERATION.c.id)
        .where(OPERATION.c.corridor == corridor, _OPEN, OPERATION.c.queued)
        .limit(at_most)
        .subquery()
    )
    return (await connection.execute(select(func.count()).select_from(waiting))).scalar_one()


async def queue_position(connection: AsyncConnection, corridor: str, payment_id: str) -> int:
    """The payment's place in the queue of its corridor; 1 is next."""
    statement = select(func.count()).where(
        OPERATION.c.corridor == corridor,
        _OPEN,
        OPERATION.c.queued,
        OPERATION.c.payment_id <= payment_id,
    )
    return (await connection.execute(statement)).scalar_one()


async def queued_corridors(connection: AsyncConnection) -> list[str]:
    """The corridors that payments wait in the queue for."""
    statement = select(OPERATION.c.corridor).where(_OPEN, OPERATION.c.queued).distinct()
    return list((await connection.execute(statement)).scalars())
