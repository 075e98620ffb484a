"""What was seen of accounts: their changes, when each was looked at, and for how long what Stripe
wants was whose turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, insert, or_, select
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.accounts.snapshot import AccountContent
from compliance.checks.canonical import build
from compliance.forecast.spans import EndedSpan, Span, Stage
from compliance.tables import (
    ACCOUNT_CHANGE,
    ACCOUNT_SNAPSHOT,
    FREEZE_WATCH,
    REQUIREMENT_SPAN,
    SUBJECT,
)


@dataclass(frozen=True)
class AccountChange:
    """A snapshot that an account has had since then."""

    change_id: int
    content_hash: str
    fetch_time: datetime


async def accounts_to_look_at(
    connection: AsyncConnection, looked_before: datetime, now: datetime, limit: int
) -> list[str]:
    """Accounts that have changed, then those that were not looked at since, the oldest first.

    Time alone changes nothing for an account of which nothing is wanted.
    """
    changed = await connection.execute(
        select(ACCOUNT_CHANGE.c.connected_account_id)
        .where(or_(ACCOUNT_CHANGE.c.retry_time.is_(None), ACCOUNT_CHANGE.c.retry_time <= now))
        .group_by(ACCOUNT_CHANGE.c.connected_account_id)
        .order_by(func.min(ACCOUNT_CHANGE.c.change_id))
        .limit(limit)
    )
    found = list(changed.scalars())
    if len(found) < limit:
        aged = await connection.execute(
            select(FREEZE_WATCH.c.connected_account_id)
            .where(
                FREEZE_WATCH.c.look_time < looked_before,
                exists().where(
                    REQUIREMENT_SPAN.c.connected_account_id == FREEZE_WATCH.c.connected_account_id,
                    REQUIREMENT_SPAN.c.end_time.is_(None),
                ),
            )
            .order_by(FREEZE_WATCH.c.look_time)
            .limit(limit - len(found))
        )
        found += [account for account in aged.scalars() if account not in found]
    return found


async def changes_of(connection: AsyncConnection, account_id: str) -> list[AccountChange]:
    """What the account has become since it was looked at, in order."""
    rows = await connection.execute(
        select(
            ACCOUNT_CHANGE.c.change_id, ACCOUNT_CHANGE.c.content_hash, ACCOUNT_CHANGE.c.fetch_time
        )
        .where(ACCOUNT_CHANGE.c.connected_account_id == account_id)
        .order_by(ACCOUNT_CHANGE.c.change_id)
    )
    return [AccountChange(row.change_id, row.content_hash, row.fetch_time) for row in rows]


async def put_off(connection: AsyncConnection, account_id: str, until: datetime) -> None:
    """Leaves an account that cannot be looked at for later, so that it holds up no other."""
    await connection.execute(
        update_of(ACCOUNT_CHANGE)
        .where(ACCOUNT_CHANGE.c.connected_account_id == account_id)
        .values(retry_time=until)
    )
    await connection.execute(
        update_of(FREEZE_WATCH)
        .where(FREEZE_WATCH.c.connected_account_id == account_id)
        .values(look_time=until)
    )


async def looked_at(
    connection: AsyncConnection,
    account_id: str,
    content_hash: str,
    taken: Sequence[AccountChange],
    now: datetime,
) -> None:
    """Notes that these changes are taken in."""
    if taken:
        await connection.execute(
            delete(ACCOUNT_CHANGE).where(
                ACCOUNT_CHANGE.c.change_id.in_([change.change_id for change in taken])
            )
        )
    values = {"content_hash": content_hash, "look_time": now}
    await connection.execute(
        upsert(FREEZE_WATCH)
        .values(connected_account_id=account_id, **values)
        .on_conflict_do_update(index_elements=["connected_account_id"], set_=values)
    )


async def watched_hash(connection: AsyncConnection, account_id: str) -> str | None:
    """What the account was when it was looked at last; None if it never was."""
    rows = await connection.execute(
        select(FREEZE_WATCH.c.content_hash).where(FREEZE_WATCH.c.connected_account_id == account_id)
    )
    return rows.scalar_one_or_none()


async def content(
    connection: AsyncConnection, account_id: str, content_hash: str
) -> AccountContent:
    """A content by its hash."""
    rows = await connection.execute(
        select(ACCOUNT_SNAPSHOT.c.content).where(
            ACCOUNT_SNAPSHOT.c.connected_account_id == account_id,
            ACCOUNT_SNAPSHOT.c.content_hash == content_hash,
        )
    )
    return build(rows.scalar_one(), AccountContent)


async def merchant_of(connection: AsyncConnection, account_id: str) -> tuple[str, bool]:
    """The merchant that has the account, and whether it takes part; empty if none has it."""
    rows = await connection.execute(
        select(SUBJECT.c.subject_id, SUBJECT.c.state).where(
            SUBJECT.c.connected_account_id == account_id
        )
    )
    row = rows.one_or_none()
    return ("", False) if row is None else (row.subject_id, row.state == "ACTIVE")


async def open_spans(connection: AsyncConnection, account_id: str | None = None) -> list[Span]:
    """The spans that have not ended: an account's, or all."""
    statement = select(
        REQUIREMENT_SPAN.c.field, REQUIREMENT_SPAN.c.stage, REQUIREMENT_SPAN.c.begin_time
    ).where(REQUIREMENT_SPAN.c.end_time.is_(None))
    if account_id is not None:
        statement = statement.where(REQUIREMENT_SPAN.c.connected_account_id == account_id)
    rows = await connection.execute(statement)
    return [Span(row.field, Stage(row.stage), row.begin_time) for row in rows]


async def ended_spans(connection: AsyncConnection, since: datetime, limit: int) -> list[EndedSpan]:
    """The newest spans that have ended since then."""
    table = REQUIREMENT_SPAN
    rows = await connection.execute(
        select(table.c.field, table.c.stage, table.c.begin_time, table.c.end_time, table.c.became)
        .where(table.c.end_time >= since)
        .order_by(table.c.end_time.desc())
        .limit(limit)
    )
    return [
        EndedSpan(
            Span(row.field, Stage(row.stage), row.begin_time),
            row.end_time,
            Stage(row.became) if row.became else None,
        )
        for row in rows
    ]


async def store_spans(
    connection: AsyncConnection,
    account_id: str,
    before: Sequence[Span],
    after: Sequence[Span],
    ended: Sequence[EndedSpan],
) -> None:
    """Ends what has ended, and begins what has begun."""
    table = REQUIREMENT_SPAN
    for item in ended:
        await connection.execute(
            update_of(table)
            .where(
                table.c.connected_account_id == account_id,
                table.c.field == item.span.field,
                table.c.end_time.is_(None),
            )
            .values(end_time=item.until, became=item.became.value if item.became else "")
        )
    known = set(before)
    begun = [
        {
            "connected_account_id": account_id,
            "field": span.field,
            "stage": span.stage.value,
            "begin_time": span.since,
        }
        for span in after
        if span not in known
    ]
    if begun:
        await connection.execute(insert(table), begun)
