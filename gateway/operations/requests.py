"""The requests that began operations, in the database."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

REQUEST = Table(
    "stripe_request",
    MetaData(),
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("operation_id", Text),
    Column("refusal", JSONB),
    Column("create_time", DateTime(timezone=True), nullable=False),
)


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
