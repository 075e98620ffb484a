"""Where list versions and their entries are kept: each state of each entry once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.tables import LIST_ATTEMPT, LIST_ENTRY, LIST_VERSION

PAGE_SIZE = 250
_ADD_ENTRIES = text(
    """
    INSERT INTO list_entry (list, entry_id, first_version, content_hash, content)
    SELECT :list, r.entry_id, :version, r.content_hash, r.content
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (entry_id text, content_hash text, content jsonb)
    """
)


@dataclass(frozen=True)
class ListVersion:
    """A row of `list_version`."""

    list: str
    version: int
    state: str
    checksum: bytes
    entry_count: int
    added_count: int
    changed_count: int
    removed_count: int
    create_time: datetime
    activate_time: datetime | None
    confirm_time: datetime
    quantities: Mapping[str, int]


_COLUMNS = [LIST_VERSION.c[name] for name in ListVersion.__dataclass_fields__]


async def active_version(connection: AsyncConnection, list_name: str) -> ListVersion | None:
    """The version in use; None if none was ever loaded."""
    rows = await connection.execute(
        select(*_COLUMNS).where(LIST_VERSION.c.list == list_name, LIST_VERSION.c.state == "ACTIVE")
    )
    row = rows.mappings().one_or_none()
    return None if row is None else ListVersion(**row)


async def list_versions(
    connection: AsyncConnection, list_name: str, *, before: int | None, limit: int
) -> list[ListVersion]:
    """Versions of a list, the newest first."""
    statement = select(*_COLUMNS).where(LIST_VERSION.c.list == list_name)
    if before is not None:
        statement = statement.where(LIST_VERSION.c.version < before)
    rows = await connection.execute(statement.order_by(LIST_VERSION.c.version.desc()).limit(limit))
    return [ListVersion(**row) for row in rows.mappings()]


async def entry_pages(
    connection: AsyncConnection, list_name: str, version: int
) -> AsyncIterator[str]:
    """A version's entries, page by page, each as JSON: [[entry id, content hash, entry], ...].

    PostgreSQL writes the JSON, since this process has calls to answer.
    """
    last = ""
    while True:  # Bounded by the list: each page starts after the one before.
        page = (
            select(LIST_ENTRY.c.entry_id, LIST_ENTRY.c.content_hash, LIST_ENTRY.c.content)
            .where(
                LIST_ENTRY.c.list == list_name,
                LIST_ENTRY.c.entry_id > last,
                LIST_ENTRY.c.first_version <= version,
                or_(LIST_ENTRY.c.last_version.is_(None), LIST_ENTRY.c.last_version >= version),
            )
            .order_by(LIST_ENTRY.c.entry_id)
            .limit(PAGE_SIZE)
            .subquery()
        )
        rows = await connection.execute(
            select(
                func.max(page.c.entry_id),
                cast(
                    func.jsonb_agg(
                        func.jsonb_build_array(page.c.entry_id, page.c.content_hash, page.c.content)
                    ),
                    Text,
                ),
            )
        )
        last, entries = rows.one()
        if last is None:
            return
        yield entries


async def stage_version(
    connection: AsyncConnection,
    version: ListVersion,
    *,
    active: int,
) -> None:
    """A version that is not in use yet; one that was staged before and abandoned is discarded.

    Its new entries are added by `add_entries`, in the same transaction.
    """
    await connection.execute(
        update(LIST_VERSION)
        .where(LIST_VERSION.c.list == version.list, LIST_VERSION.c.state == "STAGED")
        .values(state="RETIRED")
    )
    await connection.execute(
        update(LIST_ENTRY)
        .where(
            LIST_ENTRY.c.list == version.list,
            LIST_ENTRY.c.first_version > active,
            LIST_ENTRY.c.last_version.is_(None),
        )
        .values(last_version=LIST_ENTRY.c.first_version)
    )
    await connection.execute(insert(LIST_VERSION).values(**vars(version)))


async def add_entries(connection: AsyncConnection, version: ListVersion, rows: str) -> None:
    """Adds entries to a staged version; `rows` are a JSON array of what is in their columns."""
    await connection.execute(_ADD_ENTRIES, {**vars(version), "rows": rows})


async def activate_version(
    connection: AsyncConnection,
    list_name: str,
    version: int,
    *,
    active: int,
    gone_entry_ids: Sequence[str],
    now: datetime,
) -> None:
    """The staged version comes into use; what it changed or left out ends with the one before."""
    await connection.execute(
        update(LIST_ENTRY)
        .where(
            LIST_ENTRY.c.list == list_name,
            LIST_ENTRY.c.entry_id == func.any(list(gone_entry_ids)),
            LIST_ENTRY.c.first_version <= active,
            LIST_ENTRY.c.last_version.is_(None),
        )
        .values(last_version=active)
    )
    await connection.execute(
        update(LIST_VERSION)
        .where(LIST_VERSION.c.list == list_name, LIST_VERSION.c.state == "ACTIVE")
        .values(state="RETIRED")
    )
    await connection.execute(
        update(LIST_VERSION)
        .where(LIST_VERSION.c.list == list_name, LIST_VERSION.c.version == version)
        .values(state="ACTIVE", activate_time=now)
    )


async def next_version(connection: AsyncConnection, list_name: str) -> int:
    """The number after the highest one ever used."""
    highest = await connection.execute(
        select(func.max(LIST_VERSION.c.version)).where(LIST_VERSION.c.list == list_name)
    )
    return (highest.scalar_one() or 0) + 1


async def confirm_version(
    connection: AsyncConnection, list_name: str, version: int, observed_time: datetime
) -> None:
    """The source still held this version at `observed_time`."""
    await connection.execute(
        update(LIST_VERSION)
        .where(LIST_VERSION.c.list == list_name, LIST_VERSION.c.version == version)
        .values(confirm_time=func.greatest(LIST_VERSION.c.confirm_time, observed_time))
    )


async def record_attempt(
    connection: AsyncConnection, list_name: str, attempt_time: datetime, defect: str
) -> None:
    """How the last load went; an empty defect says well."""
    values = {"attempt_time": attempt_time, "defect": defect}
    await connection.execute(
        upsert(LIST_ATTEMPT)
        .values(list=list_name, **values)
        .on_conflict_do_update(index_elements=["list"], set_=values)
    )


async def attempts(connection: AsyncConnection) -> dict[str, tuple[datetime, str]]:
    """The last load of each list: when, and what was wrong."""
    rows = await connection.execute(select(LIST_ATTEMPT))
    return {row.list: (row.attempt_time, row.defect) for row in rows}
