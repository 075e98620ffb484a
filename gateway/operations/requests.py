"""The requests that began operations, in the database: what they asked, and their first answer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Row, Table, Text, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ids import RequestMetadata
from runtime.idempotency import encoded

_metadata = MetaData()


def _table(name: str) -> Table:
    return Table(
        name,
        _metadata,
        Column("request_id", Text, primary_key=True),
        Column("method", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("subject_id", Text, nullable=False),
        Column("operation_id", Text),
        Column("answer", LargeBinary),
        Column("refusal", JSONB(none_as_null=True)),
        Column("create_time", DateTime(timezone=True), nullable=False),
    )


DISPUTE_REQUEST = _table("dispute_request")
PAYOUT_REQUEST = _table("payout_request")
MERCHANT_REQUEST = _table("merchant_request")
CUSTOMER_REQUEST = _table("customer_request")
VERIFICATION_REQUEST = _table("verification_request")


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request_id and what it led to."""

    request_id: str
    method: str
    subject_id: str
    create_time: datetime
    operation_id: str | None = None
    # The message that it was answered with, where that is kept.
    answer: bytes | None = None
    refusal: Mapping[str, Any] | None = None


def record_of(row: Row[Any]) -> RequestRecord:
    """A row of one of the tables."""
    return RequestRecord(
        **{field.name: getattr(row, field.name) for field in fields(RequestRecord)}
    )


async def known_request(
    connection: AsyncConnection, table: Table, request_id: str
) -> RequestRecord | None:
    """The request that was written down under this id."""
    statement = select(table).where(table.c.request_id == request_id)
    row = (await connection.execute(statement)).first()
    return record_of(row) if row is not None else None


async def carried_by(
    connection: AsyncConnection, table: Table, request_id: str, deployment: str
) -> RequestMetadata:
    """What Stripe is to keep of a request that was written down, in what follows from it."""
    statement = select(table.c.fingerprint).where(table.c.request_id == request_id)
    fingerprint: bytes = (await connection.execute(statement)).scalar_one()
    return RequestMetadata(deployment, request_id, fingerprint.hex())


async def unknown_requests(
    connection: AsyncConnection, request_ids: Collection[str], table: Table
) -> set[str]:
    """Those of the requests that were not written down."""
    statement = select(table.c.request_id).where(table.c.request_id.in_(request_ids))
    return set(request_ids) - set((await connection.execute(statement)).scalars())


async def remember_carried(
    connection: AsyncConnection,
    table: Table,
    carried: RequestMetadata,
    method: str,
    subject_id: str,
    message: Message | None,
    now: datetime,
    refusal: Mapping[str, Any] | None = None,
) -> bool:
    """Writes down a request that is known from what Stripe keeps of it, and what it is answered
    with if that is known, or refused for; False where it is known already."""
    statement = (
        insert_or_ignore(table)
        .values(
            request_id=carried.request_id,
            method=method,
            # Lost: it is compared by its fingerprint.
            body=b"",
            fingerprint=bytes.fromhex(carried.fingerprint),
            subject_id=subject_id,
            answer=encoded(message) if message is not None else None,
            refusal=refusal,
            create_time=now,
        )
        .on_conflict_do_nothing()
        .returning(table.c.request_id)
    )
    return (await connection.execute(statement)).first() is not None


async def answer(
    connection: AsyncConnection, table: Table, operation_id: str, message: Message
) -> None:
    """Keeps what the request that began an operation is answered with; the first one stands."""
    statement = (
        update(table)
        .where(table.c.operation_id == operation_id, table.c.answer.is_(None))
        .values(answer=encoded(message))
    )
    await connection.execute(statement)
