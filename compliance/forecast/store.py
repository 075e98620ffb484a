"""Where forecasts are kept: what was seen of accounts, what was told, and what happened."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, delete, exists, func, insert, or_, select, tuple_
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.accounts.snapshot import AccountContent
from compliance.checks.canonical import build, plain
from compliance.forecast.record import Change, Episode, Freeze, Outcome
from compliance.forecast.rules import Kind, Volume
from compliance.forecast.spans import EndedSpan, Span, Stage
from compliance.tables import (
    ACCOUNT_CHANGE,
    ACCOUNT_FREEZE,
    ACCOUNT_SNAPSHOT,
    FREEZE_FORECAST,
    FREEZE_FORECAST_CHANGE,
    FREEZE_PROGRESS,
    FREEZE_WATCH,
    REQUIREMENT_SPAN,
    SUBJECT,
)

# A record of more than this is answered over a shorter time.
MOST_OF_A_RECORD = 100_000


@dataclass(frozen=True)
class Stored:
    """A forecast as it is kept; `money` is what the merchant charged when it was told."""

    forecast_id: str
    ordinal: int
    connected_account_id: str
    merchant_id: str
    episode: Episode
    money: tuple[Volume, ...]


@dataclass(frozen=True)
class StoredChange:
    """What was told of a forecast."""

    sequence: int
    forecast_id: str
    connected_account_id: str
    merchant_id: str
    change: Change
    episode: Episode
    money: tuple[Volume, ...]
    record_time: datetime


@dataclass(frozen=True)
class AccountChange:
    """A snapshot that an account has had since then."""

    change_id: int
    content_hash: str
    fetch_time: datetime


async def hold(connection: AsyncConnection) -> bool:
    """Whether this process forecasts now; another one does if not."""
    rows = await connection.execute(
        select(FREEZE_PROGRESS.c.only_row).with_for_update(skip_locked=True)
    )
    return rows.one_or_none() is not None


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


async def open_forecasts(connection: AsyncConnection, account_id: str) -> dict[Kind, Stored]:
    """What is foretold of an account."""
    rows = await connection.execute(
        select(FREEZE_FORECAST).where(
            FREEZE_FORECAST.c.connected_account_id == account_id,
            FREEZE_FORECAST.c.outcome == Outcome.OPEN.value,
        )
    )
    found = map(stored_of, rows.mappings())
    return {stored.episode.kind: stored for stored in found}


async def store_change(
    connection: AsyncConnection,
    forecast_id: str | None,
    account_id: str,
    merchant_id: str,
    change: Change,
    episode: Episode,
    money: Sequence[Volume],
    now: datetime,
) -> None:
    """Keeps a forecast as it is told now; a new one if it has no id yet."""
    values: dict[str, Any] = {
        "outcome": episode.outcome.value,
        "end_time": episode.end_time,
        "expected_time": episode.told.expected_time,
        "is_alarm": episode.told.is_alarm,
        "was_alarm": episode.was_alarm,
        "episode": plain(episode),
        "money": plain(tuple(money)),
    }
    if forecast_id is None:
        forecast_id = f"ffc_{uuid.uuid4().hex}"
        await connection.execute(
            insert(FREEZE_FORECAST).values(
                forecast_id=forecast_id,
                connected_account_id=account_id,
                merchant_id=merchant_id,
                kind=episode.kind.value,
                appear_time=episode.appear_time,
                **values,
            )
        )
    else:
        await connection.execute(
            update_of(FREEZE_FORECAST)
            .where(FREEZE_FORECAST.c.forecast_id == forecast_id)
            .values(**values)
        )
    await connection.execute(
        insert(FREEZE_FORECAST_CHANGE).values(
            forecast_id=forecast_id,
            change=change.value,
            episode=values["episode"],
            money=values["money"],
            record_time=now,
        )
    )


async def store_freeze(
    connection: AsyncConnection, account_id: str, merchant_id: str, freeze: Freeze
) -> None:
    """Keeps that something stopped."""
    await connection.execute(
        upsert(ACCOUNT_FREEZE)
        .values(
            connected_account_id=account_id,
            kind=freeze.kind.value,
            stop_time=freeze.stop_time,
            merchant_id=merchant_id,
            disabled_reason=freeze.disabled_reason,
            alarm_time=freeze.alarm_time,
        )
        .on_conflict_do_nothing()
    )


async def list_forecasts(
    connection: AsyncConnection,
    *,
    kind: str,
    alarms_only: bool,
    expected_before: datetime | None,
    after: Sequence[str | int] | None,
    limit: int,
) -> list[Stored]:
    """Forecasts that stand, the most urgent first."""
    table = FREEZE_FORECAST
    position = (table.c.expected_time, table.c.forecast_id)
    statement = (
        select(table).where(table.c.outcome == Outcome.OPEN.value).order_by(*position).limit(limit)
    )
    statement = _filtered(statement, "", kind)
    if alarms_only:
        statement = statement.where(table.c.is_alarm)
    if expected_before is not None:
        statement = statement.where(table.c.expected_time < expected_before)
    if after is not None:
        place = (datetime.fromisoformat(str(after[0])), str(after[1]))
        statement = statement.where(tuple_(*position) > place)
    rows = await connection.execute(statement)
    return [stored_of(row) for row in rows.mappings()]


async def list_record(
    connection: AsyncConnection,
    *,
    merchant_id: str,
    kind: str,
    before_ordinal: int | None,
    limit: int,
) -> list[Stored]:
    """Every forecast there was, the newest first."""
    table = FREEZE_FORECAST
    statement = select(table).order_by(table.c.ordinal.desc()).limit(limit)
    statement = _filtered(statement, merchant_id, kind)
    if before_ordinal is not None:
        statement = statement.where(table.c.ordinal < before_ordinal)
    rows = await connection.execute(statement)
    return [stored_of(row) for row in rows.mappings()]


async def changes_after(
    connection: AsyncConnection, sequence: int, limit: int
) -> list[StoredChange]:
    """What was told after a sequence, in order."""
    table, forecast = FREEZE_FORECAST_CHANGE, FREEZE_FORECAST
    rows = await connection.execute(
        select(table, forecast.c.connected_account_id, forecast.c.merchant_id)
        .join(forecast, forecast.c.forecast_id == table.c.forecast_id)
        .where(table.c.sequence > sequence)
        .order_by(table.c.sequence)
        .limit(limit)
    )
    return [
        StoredChange(
            sequence=row["sequence"],
            forecast_id=row["forecast_id"],
            connected_account_id=row["connected_account_id"],
            merchant_id=row["merchant_id"],
            change=Change(row["change"]),
            episode=build(row["episode"], Episode),
            money=build(row["money"], tuple[Volume, ...]),
            record_time=row["record_time"],
        )
        for row in rows.mappings()
    ]


async def record_of(
    connection: AsyncConnection, start: datetime | None, end: datetime | None
) -> tuple[list[Freeze], list[Episode]]:
    """What stopped, and the alarms that appeared, from `start` until before `end`."""
    stops = await connection.execute(
        select(ACCOUNT_FREEZE)
        .where(*_within(ACCOUNT_FREEZE.c.stop_time, start, end))
        .limit(MOST_OF_A_RECORD)
    )
    table = FREEZE_FORECAST
    alarms = await connection.execute(
        select(table.c.episode)
        .where(table.c.was_alarm, *_within(table.c.appear_time, start, end))
        .limit(MOST_OF_A_RECORD)
    )
    return (
        [
            Freeze(Kind(row.kind), row.stop_time, row.disabled_reason, row.alarm_time)
            for row in stops
        ],
        [build(episode, Episode) for episode in alarms.scalars()],
    )


async def standing_alarms(
    connection: AsyncConnection,
) -> dict[str, tuple[int, datetime]]:
    """How many alarms stand for each kind, and the moment that the first of them says."""
    table = FREEZE_FORECAST
    rows = await connection.execute(
        select(table.c.kind, func.count().label("count"), func.min(table.c.expected_time))
        .where(table.c.outcome == Outcome.OPEN.value, table.c.is_alarm)
        .group_by(table.c.kind)
    )
    return {kind: (count, first) for kind, count, first in rows}


def stored_of(row: RowMapping) -> Stored:
    """The forecast of a row."""
    return Stored(
        forecast_id=row["forecast_id"],
        ordinal=row["ordinal"],
        connected_account_id=row["connected_account_id"],
        merchant_id=row["merchant_id"],
        episode=build(row["episode"], Episode),
        money=build(row["money"], tuple[Volume, ...]),
    )


def _filtered(statement: Select[Any], merchant_id: str, kind: str) -> Select[Any]:
    if merchant_id:
        statement = statement.where(FREEZE_FORECAST.c.merchant_id == merchant_id)
    if kind:
        statement = statement.where(FREEZE_FORECAST.c.kind == kind)
    return statement


def _within(time: Any, start: datetime | None, end: datetime | None) -> list[Any]:
    return [
        *([time >= start] if start is not None else []),
        *([time < end] if end is not None else []),
    ]
