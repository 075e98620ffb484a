"""Verifications and their changes in PostgreSQL. Nothing personal is here."""

from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    Select,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import Epochs, FeedName, epochs
from gateway.v1 import verification_pb2
from gateway.verifications.domain import Redaction, State, Verification, has_news
from gateway.verifications.messages import verification_message

# Notified with each change, listened to by WatchVerifications.
CHANNEL = "gateway_verification"

_metadata = MetaData()
_TIME = DateTime(timezone=True)

VERIFICATION = Table(
    "verification",
    _metadata,
    Column("verification_number", BigInteger, primary_key=True),
    Column("verification_id", Text),
    Column("subject_id", Text),
    Column("corridor", Text),
    Column("type", Text),
    Column("options", JSONB),
    Column("state", Text),
    Column("error_code", Text),
    Column("failure_code", Text),
    Column("redaction", Text),
    Column("stripe_session_id", Text),
    Column("create_request_id", Text),
    Column("verify_time", _TIME),
    Column("look_time", _TIME),
    Column("next_look_time", _TIME),
    Column("sequence", BigInteger),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
)

CHANGE = Table(
    "verification_change",
    _metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("verification_id", Text),
    Column("content", JSONB),
    Column("record_time", _TIME),
)

CHANGE_COUNTER = Table(
    "verification_change_counter",
    _metadata,
    Column("only_row", Boolean, primary_key=True),
    Column("last_sequence", BigInteger),
)

_FIELDS = tuple(item.name for item in fields(Verification))


class VerificationStore:
    """What is read of verifications."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, verification_id: str) -> Verification | None:
        """One verification."""
        async with self._engine.connect() as connection:
            return await find(connection, verification_id)

    async def of_session(self, corridor: str, session_id: str) -> Verification | None:
        """The verification that one of Stripe's sessions is for."""
        async with self._engine.connect() as connection:
            return await _one(connection, _of_session(corridor, session_id))

    async def page(
        self, *, subject_id: str, state: str, before: int | None, limit: int
    ) -> list[tuple[int, Verification]]:
        """Verifications before a number, the newest first, with their numbers."""
        statement = select(VERIFICATION).order_by(VERIFICATION.c.verification_number.desc())
        if subject_id:
            statement = statement.where(VERIFICATION.c.subject_id == subject_id)
        if state:
            statement = statement.where(VERIFICATION.c.state == state)
        if before is not None:
            statement = statement.where(VERIFICATION.c.verification_number < before)
        async with self._engine.connect() as connection:
            rows = await connection.execute(statement.limit(limit))
            return [(row.verification_number, _verification(row)) for row in rows]

    async def due(self, now: datetime, limit: int) -> list[Verification]:
        """Those that are to be looked at, the longest due first."""
        statement = (
            select(VERIFICATION)
            .where(VERIFICATION.c.next_look_time <= now)
            .order_by(VERIFICATION.c.next_look_time)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [_verification(row) for row in await connection.execute(statement)]

    async def put_off(self, verification_id: str, until: datetime) -> None:
        """Stripe did not say how it is."""
        statement = (
            update(VERIFICATION)
            .where(
                VERIFICATION.c.verification_id == verification_id,
                VERIFICATION.c.next_look_time.is_not(None),
            )
            .values(next_look_time=until)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def changes_after(self, sequence: int, limit: int) -> list[verification_pb2.Verification]:
        """Verifications as they were with their changes after a sequence, in its order."""
        statement = (
            select(CHANGE).where(CHANGE.c.sequence > sequence).order_by(CHANGE.c.sequence)
        ).limit(limit)
        async with self._engine.connect() as connection:
            return [_changed(row) for row in await connection.execute(statement)]

    async def change_epochs(self) -> Epochs:
        """The epochs of the changes' sequences, and the last sequence."""
        async with self._engine.connect() as connection:
            newest = await connection.execute(select(CHANGE_COUNTER.c.last_sequence))
            return await epochs(connection, FeedName.VERIFICATIONS, newest.scalar_one())


async def add(connection: AsyncConnection, verification: Verification) -> bool:
    """Adds one that is new; False where it is there already."""
    statement = (
        insert_or_ignore(VERIFICATION)
        .values(_row(verification))
        .on_conflict_do_nothing()
        .returning(VERIFICATION.c.verification_id)
    )
    return (await connection.execute(statement)).first() is not None


async def find(connection: AsyncConnection, verification_id: str) -> Verification | None:
    """One verification."""
    return await _one(connection, _of_id(verification_id))


async def lock(connection: AsyncConnection, verification_id: str) -> Verification | None:
    """The same, locked until the transaction ends."""
    return await _one(connection, _of_id(verification_id).with_for_update())


async def lock_of_session(
    connection: AsyncConnection, corridor: str, session_id: str
) -> Verification | None:
    """The verification that one of Stripe's sessions is for, locked."""
    return await _one(connection, _of_session(corridor, session_id).with_for_update())


async def save(
    connection: AsyncConnection, before: Verification, after: Verification
) -> Verification:
    """Writes one that the caller has locked, and gives it with its sequence: what others are told
    of has a new one."""
    if has_news(before, after):
        # The lock on the counter makes sequences gapless and in the order of commits.
        next_sequence = (
            update(CHANGE_COUNTER)
            .values(last_sequence=CHANGE_COUNTER.c.last_sequence + 1)
            .returning(CHANGE_COUNTER.c.last_sequence)
        )
        sequence: int = (await connection.execute(next_sequence)).scalar_one()
        after = replace(after, sequence=sequence)
        await connection.execute(
            insert(CHANGE).values(
                sequence=sequence,
                verification_id=after.verification_id,
                content=json_format.MessageToDict(
                    verification_message(after), preserving_proto_field_name=True
                ),
                record_time=after.update_time,
            )
        )
        await connection.execute(select(func.pg_notify(CHANNEL, "")))
    await connection.execute(
        update(VERIFICATION)
        .where(VERIFICATION.c.verification_id == after.verification_id)
        .values(_row(after))
    )
    return after


def _of_id(verification_id: str) -> Select[Any]:
    return select(VERIFICATION).where(VERIFICATION.c.verification_id == verification_id)


def _of_session(corridor: str, session_id: str) -> Select[Any]:
    return select(VERIFICATION).where(
        VERIFICATION.c.corridor == corridor,
        VERIFICATION.c.stripe_session_id == session_id,
        VERIFICATION.c.stripe_session_id != "",
    )


async def _one(connection: AsyncConnection, statement: Select[Any]) -> Verification | None:
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _verification(row)


def _row(verification: Verification) -> dict[str, Any]:
    return {name: getattr(verification, name) for name in _FIELDS}


def _verification(row: Any) -> Verification:
    values = {name: getattr(row, name) for name in _FIELDS}
    values["state"] = State(row.state)
    values["redaction"] = Redaction(row.redaction)
    return Verification(**values)


def _changed(row: Any) -> verification_pb2.Verification:
    message = verification_pb2.Verification()
    json_format.ParseDict(row.content, message, ignore_unknown_fields=True)
    message.sequence = row.sequence
    return message
