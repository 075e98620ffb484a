"""Operations in the database: leased, fenced, claimed in batches. Every function runs on the
caller's connection, inside the caller's transaction."""

import contextlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import database_behind
from gateway.operations.operation import Operation, OperationKind, OperationState
from runtime.items import DeadLetter, Items
from runtime.sql_files import columns_of, sql_statement

# Notified when an operation is left for a worker.
CHANNEL = "gateway_operation"
MAX_OPERATIONS_OF_A_SUBJECT = 1_000

_TIME = DateTime(timezone=True)

OPERATION = Table(
    "operation",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("operation_number", BigInteger),
    Column("kind", Text),
    Column("subject_id", Text),
    Column("corridor", Text),
    Column("connected_account", Text),
    Column("params", Text),
    Column("state", Text),
    Column("attempt", Integer),
    Column("send_count", Integer),
    Column("first_send_time", _TIME),
    Column("last_send_time", _TIME),
    Column("lease_until", _TIME),
    Column("fencing_token", BigInteger),
    Column("next_attempt_time", _TIME),
    Column("deadline", _TIME),
    Column("refund_id", Text),
    Column("amount_minor", BigInteger),
    Column("expires_payment", Boolean),
    Column("queued", Boolean),
    Column("queue_time", _TIME),
    Column("key_prefix", Text),
    Column("failure_code", Text),
    Column("failure_param", Text),
    Column("failure_type", Text),
    Column("failure_request_id", Text),
    Column("create_time", _TIME),
    Column("end_time", _TIME),
)
# The token is what a lease is proven by: claiming alone changes it.
FIXED_OF_OPERATION = frozenset({"id", "operation_number", "fencing_token"})

_OPERATIONS = Items("operations")
_FIELDS = tuple(field.name for field in fields(Operation))
_CLAIM = sql_statement(__file__, "claim_operations", columns=columns_of(OPERATION, "operation"))
_OPEN = OPERATION.c.end_time.is_(None)


class LeaseLostError(Exception):
    """The operation belongs to another process by now, or is decided: nothing may be written."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(operation_id)
        self.operation_id = operation_id


def operation_row(operation: Operation) -> dict[str, Any]:
    """The columns of an operation, but for its number."""
    return {name: getattr(operation, name) for name in _FIELDS}


def operation_of(row: Any) -> Operation:
    """The operation of a row, to be looked at. Raises ValueError."""
    values = {name: getattr(row, name) for name in _FIELDS}
    values["kind"] = OperationKind(row.kind)
    values["state"] = OperationState(row.state)
    return Operation(**values)


async def claim(
    connection: AsyncConnection,
    kinds: Collection[OperationKind],
    now: datetime,
    lease_until: datetime,
    limit: int,
) -> list[Operation]:
    """Leases up to `limit` operations of these kinds that are due and not in the queue."""
    names = [kind.value for kind in kinds]
    parameters = {"kinds": names, "now": now, "lease_until": lease_until, "limit": limit}
    return await workable(connection, await connection.execute(_CLAIM, parameters))


async def claim_one(
    connection: AsyncConnection, operation_id: str, now: datetime, lease_until: datetime
) -> Operation | None:
    """Leases one open operation, also before its time; None if somebody has it, or if others of
    its subject come first."""
    earlier = OPERATION.alias("earlier")
    before_it = (
        select(earlier.c.id)
        .where(
            earlier.c.subject_id == OPERATION.c.subject_id,
            earlier.c.end_time.is_(None),
            earlier.c.operation_number < OPERATION.c.operation_number,
        )
        .exists()
    )
    free = OPERATION.c.lease_until.is_(None) | (OPERATION.c.lease_until <= now)
    statement = (
        update(OPERATION)
        .where(OPERATION.c.id == operation_id, _OPEN, free, ~before_it)
        .where(OPERATION.c.state != OperationState.DEAD_LETTER)
        .values(lease_until=lease_until, fencing_token=OPERATION.c.fencing_token + 1)
        .returning(*OPERATION.c)
    )
    claimed = await workable(connection, (await connection.execute(statement)).all())
    return claimed[0] if claimed else None


async def workable(connection: AsyncConnection, claimed: Iterable[Any]) -> list[Operation]:
    """The operations of rows that were just claimed. One that cannot be read becomes a dead
    letter, and its neighbours go on."""

    async def set_aside(dead: Sequence[DeadLetter]) -> None:
        for letter in dead:
            statement = (
                update(OPERATION)
                .where(OPERATION.c.id == letter.key)
                .values(
                    state=OperationState.DEAD_LETTER,
                    lease_until=None,
                    # Those behind it in the queue go on.
                    queued=False,
                    failure_code=letter.reason,
                )
            )
            await connection.execute(statement)

    return await _OPERATIONS.claimed(claimed, _workable, lambda row: str(row.id), set_aside)


def _workable(row: Any) -> Operation:
    operation = operation_of(row)
    if not isinstance(json.loads(operation.params), dict):
        raise TypeError("the parameters are no JSON object")
    return operation


async def add(connection: AsyncConnection, operation: Operation) -> None:
    """Inserts a new operation, and wakes the workers of every process if nobody holds its lease."""
    await connection.execute(insert(OPERATION), operation_row(operation))
    if operation.lease_until is None:
        await connection.execute(select(func.pg_notify(CHANNEL, "")))


async def save(connection: AsyncConnection, operation: Operation) -> None:
    """Writes an operation that the caller holds the lease of. Raises LeaseLostError."""
    row = operation_row(operation)
    token = row.pop("fencing_token")
    statement = (
        update(OPERATION)
        .where(OPERATION.c.id == operation.id, OPERATION.c.fencing_token == token, _OPEN)
        .values(row)
    )
    if (await connection.execute(statement)).rowcount != 1:
        raise LeaseLostError(operation.id)


async def take_over(connection: AsyncConnection, operation: Operation) -> None:
    """Writes an operation whoever may hold its lease: their token is worth nothing afterwards.

    The caller has locked the subject. Raises LeaseLostError if it was decided meanwhile.
    """
    row = {**operation_row(operation), "fencing_token": OPERATION.c.fencing_token + 1}
    statement = update(OPERATION).where(OPERATION.c.id == operation.id, _OPEN).values(row)
    if (await connection.execute(statement)).rowcount != 1:
        raise LeaseLostError(operation.id)


async def end_known(connection: AsyncConnection, operation: Operation) -> None:
    """Ends an operation whose outcome an event has told, whoever may hold its lease. Who runs it
    may have ended it a moment before, without the subject's lock: then it stays as it is."""
    assert not operation.open, "what is known ends it"
    with contextlib.suppress(LeaseLostError):
        await take_over(connection, operation)


async def get(connection: AsyncConnection, operation_id: str) -> Operation:
    """The operation as it stands, which must have existed. Raises DATABASE_BEHIND: nobody deletes
    one, so if it is gone the database was put back to before it."""
    statement = select(OPERATION).where(OPERATION.c.id == operation_id)
    row = (await connection.execute(statement)).first()
    if row is None:
        raise database_behind()
    return operation_of(row)


async def operations_of(
    connection: AsyncConnection, subject_id: str, limit: int = MAX_OPERATIONS_OF_A_SUBJECT
) -> list[Operation]:
    """All operations of a subject, in order."""
    statement = (
        select(OPERATION)
        .where(OPERATION.c.subject_id == subject_id)
        .order_by(OPERATION.c.operation_number)
        .limit(limit)
    )
    return [operation_of(row) for row in await connection.execute(statement)]


async def open_operation_of(connection: AsyncConnection, subject_id: str) -> Operation | None:
    """The subject's first operation that is not decided."""
    statement = (
        select(OPERATION)
        .where(OPERATION.c.subject_id == subject_id, _OPEN)
        .order_by(OPERATION.c.operation_number)
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return operation_of(row) if row is not None else None


async def hurry(connection: AsyncConnection, subject_id: str, now: datetime) -> bool:
    """Has the subject's open operations looked at now: there may be news about them. Says whether
    there are any that would have waited."""
    hurried = await connection.execute(
        update(OPERATION)
        .where(OPERATION.c.subject_id == subject_id, _OPEN, OPERATION.c.next_attempt_time > now)
        .values(next_attempt_time=now)
    )
    return hurried.rowcount > 0
