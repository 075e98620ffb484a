"""Where subjects are kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import microseconds
from compliance.errors import (
    account_already_linked,
    subject_already_exists,
    subject_not_found,
)
from compliance.subjects.subject import Subject, subject_of
from compliance.tables import SUBJECT, SUBJECT_CHANGE

_COLUMNS = [SUBJECT.c[name] for name in Subject.__dataclass_fields__]
_ACCOUNT_KEY = "subject_connected_account_id_key"


async def insert_subject(
    connection: AsyncConnection, values: Mapping[str, Any], client: str
) -> Subject:
    """A new subject. Raises `SUBJECT_ALREADY_EXISTS` or `ACCOUNT_ALREADY_LINKED`."""
    statement = insert(SUBJECT).values(**values).returning(*_COLUMNS)
    subject = await _write(connection, statement, values)
    await _keep_change(connection, subject, "CREATE", "", client)
    return subject


async def change_subject(
    connection: AsyncConnection,
    subject: Subject,
    values: Mapping[str, Any],
    *,
    change: str,
    note: str,
    client: str,
    now: datetime,
) -> Subject:
    """The subject with its next revision. Hold the row's lock: see `lock_subject`."""
    statement = (
        update(SUBJECT)
        .where(SUBJECT.c.subject_id == subject.subject_id)
        .values(**values, revision=subject.revision + 1, update_time=now)
        .returning(*_COLUMNS)
    )
    changed = await _write(connection, statement, values)
    await _keep_change(connection, changed, change, note, client)
    return changed


async def lock_subject(connection: AsyncConnection, subject_id: str) -> Subject:
    """The subject, which nobody else changes before this transaction ends."""
    subject = await _find(connection, subject_id, select(*_COLUMNS).with_for_update())
    if subject is None:
        raise subject_not_found(subject_id)
    return subject


async def get_subject(connection: AsyncConnection, subject_id: str) -> Subject:
    """The subject. Raises `SUBJECT_NOT_FOUND`."""
    subject = await find_subject(connection, subject_id)
    if subject is None:
        raise subject_not_found(subject_id)
    return subject


async def find_subject(connection: AsyncConnection, subject_id: str) -> Subject | None:
    """The subject; None if there is none."""
    return await _find(connection, subject_id, select(*_COLUMNS))


async def list_subjects(
    connection: AsyncConnection,
    filters: Mapping[str, str],
    *,
    before_ordinal: int | None,
    limit: int,
) -> list[tuple[int, Subject]]:
    """Subjects with their place in the order of creation, the newest first."""
    statement = select(SUBJECT.c.ordinal, *_COLUMNS).order_by(SUBJECT.c.ordinal.desc())
    for name, value in filters.items():
        statement = statement.where(SUBJECT.c[name] == value)
    if before_ordinal is not None:
        statement = statement.where(SUBJECT.c.ordinal < before_ordinal)
    rows = await connection.execute(statement.limit(limit))
    return [(row["ordinal"], subject_of(row)) for row in rows.mappings()]


async def _find(connection: AsyncConnection, subject_id: str, statement: Any) -> Subject | None:
    rows = await connection.execute(statement.where(SUBJECT.c.subject_id == subject_id))
    row = rows.mappings().one_or_none()
    return None if row is None else subject_of(row)


async def _write(connection: AsyncConnection, statement: Any, values: Mapping[str, Any]) -> Subject:
    try:
        rows = await connection.execute(statement)
    except IntegrityError as error:
        constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", "")
        if constraint == "subject_pkey":
            raise subject_already_exists(values["subject_id"]) from None
        if constraint == _ACCOUNT_KEY:
            raise account_already_linked(values["connected_account_id"]) from None
        raise
    return subject_of(rows.mappings().one())


async def _keep_change(
    connection: AsyncConnection, subject: Subject, change: str, note: str, client: str
) -> None:
    content = {
        name: microseconds(value) if isinstance(value, datetime) else value
        for name, value in vars(subject).items()
    }
    await connection.execute(
        insert(SUBJECT_CHANGE).values(
            subject_id=subject.subject_id,
            revision=subject.revision,
            change=change,
            note=note,
            client=client,
            content=content,
            record_time=subject.update_time,
        )
    )
