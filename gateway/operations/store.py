"""Operations on disputes and payouts, and the requests that began them, in the database."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations.operation import Operation, OperationKind, OperationState
from runtime.sql_files import sql_statement

# Notified when an operation was left for a worker.
CHANNEL = "gateway_stripe_operation"

metadata = MetaData()

OPERATION = Table(
    "stripe_operation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_account", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("send_count", Integer, nullable=False),
    Column("first_send_time", DateTime(timezone=True)),
    Column("last_send_time", DateTime(timezone=True)),
    Column("lease_until", DateTime(timezone=True)),
    Column("fencing_token", BigInteger, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("deadline", DateTime(timezone=True), nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("failure_param", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True)),
)

REQUEST = Table(
    "stripe_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("operation_id", Text),
    Column("refusal", JSONB),
    Column("create_time", DateTime(timezone=True), nullable=False),
)


_CLAIM = sql_statement(__file__, "claim_stripe_operations")
_OPEN = OPERATION.c.end_time.is_(None)


class LeaseLostError(Exception):
    """The operation belongs to another process by now, or is decided: nothing may be written."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request_id and what it led to. `body` leaves out what may say something of people;
    `fingerprint` is of the whole request."""

    request_id: str
    method: str
    body: bytes
    fingerprint: bytes
    subject_id: str
    create_time: datetime
    operation_id: str | None = None
    refusal: Mapping[str, Any] | None = None


async def add(connection: AsyncConnection, operation: Operation) -> None:
    """Inserts a new operation, and wakes the workers if nobody holds its lease."""
    await connection.execute(insert(OPERATION), asdict(operation))
    if operation.lease_until is None:
        await connection.execute(select(func.pg_notify(CHANNEL, "")))


async def save(connection: AsyncConnection, operation: Operation) -> None:
    """Writes an operation that the caller holds the lease of. Raises LeaseLostError."""
    values = asdict(operation)
    token = values.pop("fencing_token")
    statement = (
        update(OPERATION)
        .where(OPERATION.c.id == operation.id, OPERATION.c.fencing_token == token, _OPEN)
        .values(values)
    )
    if (await connection.execute(statement)).rowcount != 1:
        raise LeaseLostError(operation.id)


async def withdraw(connection: AsyncConnection, operation: Operation) -> bool:
    """Writes an operation that was ended unsent; False if somebody has begun to send it."""
    statement = (
        update(OPERATION)
        .where(
            OPERATION.c.id == operation.id,
            OPERATION.c.state == OperationState.PENDING,
            OPERATION.c.first_send_time.is_(None),
            OPERATION.c.lease_until.is_(None),
        )
        .values({**asdict(operation), "fencing_token": operation.fencing_token + 1})
    )
    return (await connection.execute(statement)).rowcount == 1


async def claim(
    connection: AsyncConnection, now: datetime, lease_until: datetime, limit: int
) -> list[Operation]:
    """Leases up to `limit` operations that are due."""
    parameters = {"now": now, "lease_until": lease_until, "limit": limit}
    return [_operation_of(row) for row in await connection.execute(_CLAIM, parameters)]


async def get(connection: AsyncConnection, operation_id: str) -> Operation:
    """The operation as it stands; it must exist."""
    statement = select(OPERATION).where(OPERATION.c.id == operation_id)
    return _operation_of((await connection.execute(statement)).one())


async def open_operation_of(connection: AsyncConnection, subject_id: str) -> Operation | None:
    """What is asked for a dispute or a payout and not decided; at most one thing."""
    statement = select(OPERATION).where(OPERATION.c.subject_id == subject_id, _OPEN)
    row = (await connection.execute(statement)).one_or_none()
    return _operation_of(row) if row is not None else None


async def hurry(connection: AsyncConnection, subject_id: str, now: datetime) -> None:
    """Has the open operation looked at now: there may be news about it."""
    await connection.execute(
        update(OPERATION)
        .where(OPERATION.c.subject_id == subject_id, _OPEN, OPERATION.c.next_attempt_time > now)
        .values(next_attempt_time=now)
    )


async def remember(connection: AsyncConnection, record: RequestRecord) -> bool:
    """Writes a request down; False if its id is taken (another's commit is waited for)."""
    statement = (
        insert_or_ignore(REQUEST)
        .values(asdict(record))
        .on_conflict_do_nothing()
        .returning(REQUEST.c.request_id)
    )
    return (await connection.execute(statement)).first() is not None


async def known_request(connection: AsyncConnection, request_id: str) -> RequestRecord | None:
    """The request that was written down under this id."""
    statement = select(REQUEST).where(REQUEST.c.request_id == request_id)
    row = (await connection.execute(statement)).first()
    return RequestRecord(**row._mapping) if row is not None else None


def _operation_of(row: Row[Any]) -> Operation:
    values = dict(row._mapping)
    values["kind"] = OperationKind(values["kind"])
    values["state"] = OperationState(values["state"])
    return Operation(**values)
