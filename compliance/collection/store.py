"""Where notices are kept, what was told for good, and the e-mails that carry it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import build, plain
from compliance.collection.rules import NoticeKind, Told
from compliance.forecast.spans import Stage
from compliance.tables import (
    ACCOUNT_CHANGE,
    COLLECTION_PROGRESS,
    COLLECTION_WATCH,
    NOTICE_ADDRESS,
    NOTICE_MAIL,
    REQUIREMENT_NOTICE,
    REQUIREMENT_SPAN,
)

PENDING, SENT, DEAD, OBSOLETE = "PENDING", "SENT", "DEAD", "OBSOLETE"
# Of an account, the newest: a chase of more than these begins anew.
MOST_OF_A_HISTORY = 1_000


@dataclass(frozen=True)
class Due:
    """An account to look at; the count fences what is noted of the look."""

    connected_account_id: str
    change_count: int


@dataclass(frozen=True)
class Notice:
    """A notice as it is kept."""

    sequence: int
    connected_account_id: str
    merchant_id: str
    told: Told


@dataclass(frozen=True)
class Mail:
    """Where the e-mail of a notice is; `state` is empty if there is none."""

    state: str
    attempt_count: int
    failure: str


@dataclass(frozen=True)
class Claimed:
    """An e-mail under our lease: `attempt_count` is the attempt that begins, and the fence."""

    notice: Notice
    attempt_count: int


async def hold(connection: AsyncConnection) -> bool:
    """Whether this process looks now; another one does if not."""
    rows = await connection.execute(
        select(COLLECTION_PROGRESS.c.only_row).with_for_update(skip_locked=True)
    )
    return rows.one_or_none() is not None


async def accounts_due(connection: AsyncConnection, now: datetime, limit: int) -> list[Due]:
    """Accounts that have changed, then those whose time has come.

    One that the forecasts, which count refusals, have still to take in is left until they have. One
    that they could not take in is not.
    """
    table = COLLECTION_WATCH
    rows = await connection.execute(
        select(table.c.connected_account_id, table.c.change_count)
        .where(
            table.c.look_time <= now,
            ~exists().where(
                ACCOUNT_CHANGE.c.connected_account_id == table.c.connected_account_id,
                ACCOUNT_CHANGE.c.retry_time.is_(None),
            ),
        )
        .order_by(table.c.look_time)
        .limit(limit)
    )
    return [Due(row.connected_account_id, row.change_count) for row in rows]


async def look_next(connection: AsyncConnection, due: Due, when: datetime | None) -> None:
    """Notes when to look again, unless the account has changed since."""
    table = COLLECTION_WATCH
    await connection.execute(
        update(table)
        .where(
            table.c.connected_account_id == due.connected_account_id,
            table.c.change_count == due.change_count,
        )
        .values(look_time=when)
    )


async def refusals(connection: AsyncConnection, account_id: str) -> dict[str, int]:
    """How often what was handed in for a field was refused."""
    table = REQUIREMENT_SPAN
    rows = await connection.execute(
        select(table.c.field, func.count().label("refusals"))
        .where(
            table.c.connected_account_id == account_id,
            table.c.stage == Stage.PENDING.value,
            table.c.became == Stage.DUE.value,
        )
        .group_by(table.c.field)
    )
    return {row.field: row.refusals for row in rows}


async def history(connection: AsyncConnection, account_id: str) -> list[Told]:
    """What was told of an account, in order."""
    table = REQUIREMENT_NOTICE
    rows = await connection.execute(
        select(table.c.content)
        .where(table.c.connected_account_id == account_id)
        .order_by(table.c.sequence.desc())
        .limit(MOST_OF_A_HISTORY)
    )
    return [build(content, Told) for content in rows.scalars()][::-1]


async def store_notice(
    connection: AsyncConnection, account_id: str, merchant_id: str, told: Told
) -> int:
    """Keeps a notice; its sequence."""
    rows = await connection.execute(
        insert(REQUIREMENT_NOTICE)
        .values(
            connected_account_id=account_id,
            merchant_id=merchant_id,
            kind=told.kind.value,
            content=plain(told),
            record_time=told.record_time,
        )
        .returning(REQUIREMENT_NOTICE.c.sequence)
    )
    return int(rows.scalar_one())


async def make_obsolete(
    connection: AsyncConnection, account_id: str, kinds: Sequence[NoticeKind]
) -> None:
    """Nothing of these kinds that was not sent yet is sent any more."""
    table = NOTICE_MAIL
    of_kinds = select(REQUIREMENT_NOTICE.c.sequence).where(
        REQUIREMENT_NOTICE.c.connected_account_id == account_id,
        REQUIREMENT_NOTICE.c.kind.in_([kind.value for kind in kinds]),
    )
    await connection.execute(
        update(table)
        .where(
            table.c.connected_account_id == account_id,
            table.c.state.in_([PENDING, DEAD]),
            table.c.sequence.in_(of_kinds),
        )
        .values(state=OBSOLETE)
    )


async def store_mail(
    connection: AsyncConnection, sequence: int, account_id: str, now: datetime
) -> None:
    """Has a notice sent."""
    await connection.execute(
        insert(NOTICE_MAIL).values(
            sequence=sequence,
            connected_account_id=account_id,
            state=PENDING,
            attempt_count=0,
            next_attempt_time=now,
            failure="",
        )
    )


async def claim_mail(
    connection: AsyncConnection, now: datetime, lease: timedelta
) -> Claimed | None:
    """The next e-mail to send, which nobody else takes before the lease is over."""
    table = NOTICE_MAIL
    rows = await connection.execute(
        select(table.c.sequence, table.c.attempt_count)
        .where(table.c.state == PENDING, table.c.next_attempt_time <= now)
        .order_by(table.c.next_attempt_time, table.c.sequence)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = rows.one_or_none()
    if row is None:
        return None
    attempt = row.attempt_count + 1
    await connection.execute(
        update(table)
        .where(table.c.sequence == row.sequence)
        .values(attempt_count=attempt, next_attempt_time=now + lease)
    )
    found = await connection.execute(
        select(REQUIREMENT_NOTICE).where(REQUIREMENT_NOTICE.c.sequence == row.sequence)
    )
    return Claimed(notice_of(found.mappings().one()), attempt)


async def finish_mail(connection: AsyncConnection, claimed: Claimed, **values: Any) -> bool:
    """Notes what came of an attempt; False if it is not ours any more."""
    table = NOTICE_MAIL
    rows = await connection.execute(
        update(table)
        .where(
            table.c.sequence == claimed.notice.sequence,
            table.c.attempt_count == claimed.attempt_count,
            table.c.state == PENDING,
        )
        .values(**values)
        .returning(table.c.sequence)
    )
    return rows.one_or_none() is not None


async def dead_mails(connection: AsyncConnection) -> int:
    """How many e-mails could not be delivered."""
    rows = await connection.execute(
        select(func.count()).select_from(NOTICE_MAIL).where(NOTICE_MAIL.c.state == DEAD)
    )
    return int(rows.scalar_one())


async def oldest_pending(connection: AsyncConnection) -> datetime | None:
    """Since when the e-mail that has waited longest waits."""
    rows = await connection.execute(
        select(func.min(REQUIREMENT_NOTICE.c.record_time))
        .join(NOTICE_MAIL, NOTICE_MAIL.c.sequence == REQUIREMENT_NOTICE.c.sequence)
        .where(NOTICE_MAIL.c.state == PENDING)
    )
    found: datetime | None = rows.scalar_one()
    return found


async def mail_state(
    connection: AsyncConnection, sequence: int, *, lock: bool = False
) -> Mail | None:
    """The e-mail of a notice; None if there is no such notice."""
    known = await connection.execute(
        select(REQUIREMENT_NOTICE.c.sequence).where(REQUIREMENT_NOTICE.c.sequence == sequence)
    )
    if known.one_or_none() is None:
        return None
    statement = select(NOTICE_MAIL).where(NOTICE_MAIL.c.sequence == sequence)
    rows = await connection.execute(statement.with_for_update() if lock else statement)
    row = rows.mappings().one_or_none()
    return _mail_of(row) if row is not None else Mail("", 0, "")


async def send_again(connection: AsyncConnection, sequence: int, now: datetime) -> None:
    """Has a dead letter sent, with all its attempts anew."""
    await connection.execute(
        update(NOTICE_MAIL)
        .where(NOTICE_MAIL.c.sequence == sequence)
        .values(state=PENDING, attempt_count=0, next_attempt_time=now, failure="")
    )


async def set_address(
    connection: AsyncConnection, merchant_id: str, email_address: str, now: datetime
) -> None:
    """Keeps a merchant's address; forgets it if it is empty."""
    table = NOTICE_ADDRESS
    if not email_address:
        await connection.execute(delete(table).where(table.c.merchant_id == merchant_id))
        return
    values = {"email_address": email_address, "update_time": now}
    await connection.execute(
        upsert(table)
        .values(merchant_id=merchant_id, **values)
        .on_conflict_do_update(index_elements=["merchant_id"], set_=values)
    )


async def address_of(connection: AsyncConnection, merchant_id: str) -> str:
    """The merchant's address; empty if it has none."""
    rows = await connection.execute(
        select(NOTICE_ADDRESS.c.email_address).where(NOTICE_ADDRESS.c.merchant_id == merchant_id)
    )
    return rows.scalar_one_or_none() or ""


async def last_sequence(connection: AsyncConnection) -> int:
    """The newest notice's; 0 if there is none."""
    rows = await connection.execute(select(func.max(REQUIREMENT_NOTICE.c.sequence)))
    return int(rows.scalar_one() or 0)


async def notices_after(connection: AsyncConnection, sequence: int, limit: int) -> list[Notice]:
    """What was told after a sequence, in order."""
    table = REQUIREMENT_NOTICE
    rows = await connection.execute(
        select(table).where(table.c.sequence > sequence).order_by(table.c.sequence).limit(limit)
    )
    return [notice_of(row) for row in rows.mappings()]


async def list_notices(
    connection: AsyncConnection,
    *,
    merchant_id: str,
    state: str,
    before: int | None,
    limit: int,
) -> Sequence[tuple[Notice, Mail]]:
    """Notices with their e-mails, the newest first."""
    table = REQUIREMENT_NOTICE
    statement = (
        select(table, NOTICE_MAIL.c.state, NOTICE_MAIL.c.attempt_count, NOTICE_MAIL.c.failure)
        .select_from(table.outerjoin(NOTICE_MAIL, NOTICE_MAIL.c.sequence == table.c.sequence))
        .order_by(table.c.sequence.desc())
        .limit(limit)
    )
    if merchant_id:
        statement = statement.where(table.c.merchant_id == merchant_id)
    if state:
        statement = statement.where(NOTICE_MAIL.c.state == state)
    if before is not None:
        statement = statement.where(table.c.sequence < before)
    rows = await connection.execute(statement)
    return [(notice_of(row), _mail_of(row)) for row in rows.mappings()]


def notice_of(row: RowMapping) -> Notice:
    """The notice of a row."""
    return Notice(
        sequence=row["sequence"],
        connected_account_id=row["connected_account_id"],
        merchant_id=row["merchant_id"],
        told=build(row["content"], Told),
    )


def _mail_of(row: RowMapping) -> Mail:
    return Mail(row["state"] or "", row["attempt_count"] or 0, row["failure"] or "")
