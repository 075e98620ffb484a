"""Where snapshots are kept: each content once for good, and which one holds now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.accounts.requirements import Requirement
from compliance.accounts.snapshot import AccountContent, AccountSnapshot
from compliance.checks.canonical import build, plain
from compliance.tables import ACCOUNT_LATEST, ACCOUNT_REQUIREMENT, ACCOUNT_SNAPSHOT, SUBJECT

# Stands for "no deadline" in the table, so that keyset paging has a value to compare; later than
# any time that Stripe can say.
NO_DEADLINE = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class LinkedAccount:
    """A merchant's account, as much as fetching it needs."""

    subject_id: str
    corridor: str
    connected_account_id: str
    gateway_merchant_id: str
    legal_name: str
    is_person: bool


async def store_snapshot(
    connection: AsyncConnection, snapshot: AccountSnapshot, now: datetime
) -> None:
    """Makes this the snapshot that holds, unless a later one is there already."""
    content_hash = snapshot.content.content_hash
    await connection.execute(
        upsert(ACCOUNT_SNAPSHOT)
        .values(
            connected_account_id=snapshot.connected_account_id,
            content_hash=content_hash,
            content=plain(snapshot.content),
            record_time=now,
        )
        .on_conflict_do_nothing()
    )
    values = {
        "corridor": snapshot.corridor,
        "gateway_merchant_id": snapshot.gateway_merchant_id,
        "content_hash": content_hash,
        "fetch_time": snapshot.fetch_time,
    }
    kept = await connection.execute(
        upsert(ACCOUNT_LATEST)
        .values(connected_account_id=snapshot.connected_account_id, **values)
        .on_conflict_do_update(
            index_elements=["connected_account_id"],
            set_=values,
            where=ACCOUNT_LATEST.c.fetch_time <= snapshot.fetch_time,
        )
        .returning(ACCOUNT_LATEST.c.connected_account_id)
    )
    if kept.one_or_none() is not None:
        await _replace_requirements(connection, snapshot)


async def _replace_requirements(connection: AsyncConnection, snapshot: AccountSnapshot) -> None:
    await connection.execute(
        delete(ACCOUNT_REQUIREMENT).where(
            ACCOUNT_REQUIREMENT.c.connected_account_id == snapshot.connected_account_id
        )
    )
    rows = [
        {
            "connected_account_id": snapshot.connected_account_id,
            "field": item.field,
            "severity": item.severity,
            "deadline_time": item.deadline_time or NO_DEADLINE,
            "content": plain(item),
        }
        for item in snapshot.content.requirements
    ]
    if rows:
        await connection.execute(insert(ACCOUNT_REQUIREMENT), rows)


async def latest_snapshot(
    connection: AsyncConnection, connected_account_id: str
) -> AccountSnapshot | None:
    """The snapshot that holds; None if the account was never fetched."""
    rows = await connection.execute(
        select(ACCOUNT_LATEST, ACCOUNT_SNAPSHOT.c.content)
        .join(
            ACCOUNT_SNAPSHOT,
            (ACCOUNT_SNAPSHOT.c.connected_account_id == ACCOUNT_LATEST.c.connected_account_id)
            & (ACCOUNT_SNAPSHOT.c.content_hash == ACCOUNT_LATEST.c.content_hash),
        )
        .where(ACCOUNT_LATEST.c.connected_account_id == connected_account_id)
    )
    row = rows.mappings().one_or_none()
    return None if row is None else snapshot_of(row)


def snapshot_of(row: RowMapping) -> AccountSnapshot:
    """The snapshot of a row of `account_latest` with its content."""
    return AccountSnapshot(
        connected_account_id=row["connected_account_id"],
        corridor=row["corridor"],
        gateway_merchant_id=row["gateway_merchant_id"],
        content=build(row["content"], AccountContent),
        fetch_time=row["fetch_time"],
    )


async def linked_account(connection: AsyncConnection, subject_id: str) -> LinkedAccount | None:
    """The merchant's account; None if it has none."""
    rows = await connection.execute(_linked().where(SUBJECT.c.subject_id == subject_id))
    row = rows.mappings().one_or_none()
    return None if row is None else _linked_of(row)


async def changed_account(
    connection: AsyncConnection, connected_account_id: str, seen: datetime
) -> LinkedAccount | None:
    """The account, if it is one of a merchant that takes part and was not fetched since then."""
    fetch_time = ACCOUNT_LATEST.c.fetch_time
    rows = await connection.execute(
        _linked()
        .where(
            SUBJECT.c.connected_account_id == connected_account_id,
            SUBJECT.c.state == "ACTIVE",
            or_(fetch_time.is_(None), fetch_time < seen),
        )
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return None if row is None else _linked_of(row)


async def accounts_to_refresh(
    connection: AsyncConnection, fetched_before: datetime, limit: int
) -> list[LinkedAccount]:
    """Accounts of merchants that take part and were not fetched since, the oldest first."""
    never = datetime.min.replace(tzinfo=UTC)
    fetch_time = func.coalesce(ACCOUNT_LATEST.c.fetch_time, never)
    rows = await connection.execute(
        _linked()
        .where(SUBJECT.c.state == "ACTIVE", fetch_time < fetched_before)
        .order_by(fetch_time)
        .limit(limit)
    )
    return [_linked_of(row) for row in rows.mappings()]


async def list_requirements(
    connection: AsyncConnection,
    *,
    subject_id: str,
    minimum_severity: int,
    due_before: datetime | None,
    after: Sequence[str | int] | None,
    limit: int,
) -> list[tuple[str, str, Requirement]]:
    """(subject id, connected account, requirement), the earliest deadline first."""
    table = ACCOUNT_REQUIREMENT
    position = (table.c.deadline_time, table.c.connected_account_id, table.c.field)
    statement = (
        select(SUBJECT.c.subject_id, table.c.connected_account_id, table.c.content)
        .join(SUBJECT, SUBJECT.c.connected_account_id == table.c.connected_account_id)
        .where(table.c.severity >= minimum_severity)
        .order_by(*position)
        .limit(limit)
    )
    if subject_id:
        statement = statement.where(SUBJECT.c.subject_id == subject_id)
    if due_before is not None:
        statement = statement.where(table.c.deadline_time < due_before)
    if after is not None:
        deadline = datetime.fromisoformat(str(after[0]))
        statement = statement.where(tuple_(*position) > (deadline, after[1], after[2]))
    rows = await connection.execute(statement)
    return [
        (row.subject_id, row.connected_account_id, build(row.content, Requirement)) for row in rows
    ]


def _linked() -> Any:
    return (
        select(
            SUBJECT.c.subject_id,
            SUBJECT.c.corridor,
            SUBJECT.c.connected_account_id,
            SUBJECT.c.legal_name,
            SUBJECT.c.entity_kind,
            ACCOUNT_LATEST.c.gateway_merchant_id,
        )
        .select_from(
            SUBJECT.outerjoin(
                ACCOUNT_LATEST,
                ACCOUNT_LATEST.c.connected_account_id == SUBJECT.c.connected_account_id,
            )
        )
        .where(SUBJECT.c.connected_account_id.is_not(None))
    )


def _linked_of(row: Any) -> LinkedAccount:
    return LinkedAccount(
        subject_id=row["subject_id"],
        corridor=row["corridor"],
        connected_account_id=row["connected_account_id"],
        gateway_merchant_id=row["gateway_merchant_id"] or "",
        legal_name=row["legal_name"],
        is_person=row["entity_kind"] == "INDIVIDUAL",
    )
