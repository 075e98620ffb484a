"""Where verifications are kept, and beside them what checks go by."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import plain
from compliance.errors import verification_not_found
from compliance.tables import SUBJECT, SUBJECT_IDENTITY, VERIFICATION
from compliance.verifications.verification import Verification, identity_of

_COLUMNS = [VERIFICATION.c[name] for name in Verification.__dataclass_fields__]
# Of a subject, the newest, that checks may go by.
MAX_OF_A_SUBJECT = 200


async def take(
    connection: AsyncConnection, seen: Verification, epoch: int | None = None
) -> Verification:
    """Keeps what the gateway said unless something later is there, and gives what is there then.

    The feed tells the epoch of its sequences. An answer does not, and counts as one of the epoch
    that is known.
    """
    # Changes of one subject's verifications one after the other.
    locked = select(SUBJECT.c.subject_id).where(SUBJECT.c.subject_id == seen.subject_id)
    await connection.execute(locked.with_for_update())
    values: dict[str, Any] = {**vars(seen)}
    if epoch is not None:
        values["epoch"] = epoch
        place = tuple_(VERIFICATION.c.epoch, VERIFICATION.c.sequence)
        is_later = place <= (epoch, seen.sequence)
    else:
        is_later = VERIFICATION.c.sequence <= seen.sequence
    statement = upsert(VERIFICATION).values({"epoch": 0, **values})
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["verification_id"], set_=values, where=is_later
        )
    )
    await _keep_identity(connection, seen.subject_id)
    return await get(connection, seen.verification_id)


async def get(connection: AsyncConnection, verification_id: str) -> Verification:
    """One verification. Raises `VERIFICATION_NOT_FOUND`."""
    statement = select(*_COLUMNS).where(VERIFICATION.c.verification_id == verification_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise verification_not_found(verification_id)
    return _verification(row)


async def list_verifications(
    connection: AsyncConnection,
    filters: Mapping[str, str],
    *,
    before_ordinal: int | None,
    limit: int,
) -> list[tuple[int, Verification]]:
    """Verifications with their place, the newest first."""
    statement = select(VERIFICATION.c.ordinal, *_COLUMNS).order_by(VERIFICATION.c.ordinal.desc())
    for name, value in filters.items():
        statement = statement.where(VERIFICATION.c[name] == value)
    if before_ordinal is not None:
        statement = statement.where(VERIFICATION.c.ordinal < before_ordinal)
    rows = await connection.execute(statement.limit(limit))
    return [(row["ordinal"], _verification(row)) for row in rows.mappings()]


async def _keep_identity(connection: AsyncConnection, subject_id: str) -> None:
    known = await list_verifications(
        connection, {"subject_id": subject_id}, before_ordinal=None, limit=MAX_OF_A_SUBJECT
    )
    content = plain(identity_of(one for _, one in known))
    await connection.execute(
        upsert(SUBJECT_IDENTITY)
        .values(subject_id=subject_id, content=content)
        .on_conflict_do_update(index_elements=["subject_id"], set_={"content": content})
    )


def _verification(row: RowMapping) -> Verification:
    return Verification(**{name: row[name] for name in Verification.__dataclass_fields__})
