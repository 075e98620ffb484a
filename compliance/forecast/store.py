"""Where forecasts are kept: what was told of each, and what happened."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, func, insert, or_, select, tuple_
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import build, plain
from compliance.forecast.record import Change, Episode, Freeze, Outcome
from compliance.forecast.rules import UNDATED, Kind, Volume
from compliance.tables import (
    ACCOUNT_FREEZE,
    FREEZE_FORECAST,
    FREEZE_FORECAST_CHANGE,
    FREEZE_PROGRESS,
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


async def hold(connection: AsyncConnection) -> bool:
    """Whether this process forecasts now; another one does if not."""
    rows = await connection.execute(
        select(FREEZE_PROGRESS.c.only_row).with_for_update(skip_locked=True)
    )
    return rows.one_or_none() is not None


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
    """Forecasts that stand, the most urgent first, those without a moment last."""
    table = FREEZE_FORECAST
    position = (table.c.expected_time, table.c.forecast_id)
    statement = (
        select(table).where(table.c.outcome == Outcome.OPEN.value).order_by(*position).limit(limit)
    )
    statement = _filtered(statement, "", kind)
    if alarms_only:
        statement = statement.where(table.c.is_alarm)
    if expected_before is not None:
        # When nobody knows, it may be before.
        statement = statement.where(
            or_(table.c.expected_time < expected_before, table.c.expected_time == UNDATED)
        )
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
