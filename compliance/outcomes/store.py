"""What became of payments in PostgreSQL. Whoever writes holds the row of `outcome_watch`."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import build, dumps
from compliance.checks.rates import MAX_WINDOW_DAYS, RateWindow
from compliance.outcomes.outcome import (
    CountedRefund,
    Counts,
    DayKey,
    DisputeOutcome,
    PaymentOutcome,
    Place,
)
from compliance.tables import DISPUTE_OUTCOME, MERCHANT_RATES, OUTCOME_WATCH, PAYMENT_OUTCOME
from runtime.sql_files import sql_statement

# Merchants whose windows move on in one transaction.
MOVE_BATCH = 500

_COUNT = sql_statement(__file__, "count_outcomes")
_REFRESH = sql_statement(__file__, "refresh_rates")


async def followed(connection: AsyncConnection) -> tuple[Place, datetime | None]:
    """How far the feed was followed, and up to when."""
    rows = await connection.execute(
        select(OUTCOME_WATCH.c.epoch, OUTCOME_WATCH.c.sequence, OUTCOME_WATCH.c.follow_time)
    )
    row = rows.one()
    return Place(row.epoch, row.sequence), row.follow_time


async def lock(connection: AsyncConnection) -> Place:
    """How far the feed was followed; nobody else counts until the transaction ends."""
    rows = await connection.execute(
        select(OUTCOME_WATCH.c.epoch, OUTCOME_WATCH.c.sequence).with_for_update()
    )
    return Place(*rows.one())


async def advance(connection: AsyncConnection, place: Place, follow_time: datetime) -> None:
    """The feed was followed to there, up to that time. Hold the row."""
    await connection.execute(
        update(OUTCOME_WATCH).values(
            epoch=place.epoch,
            sequence=place.sequence,
            follow_time=func.greatest(OUTCOME_WATCH.c.follow_time, follow_time),
        )
    )


async def still_there(connection: AsyncConnection, place: Place, now: datetime) -> None:
    """The feed has told nothing more until now; unless another process is further."""
    await connection.execute(
        update(OUTCOME_WATCH)
        .where(*_at(place))
        .values(follow_time=func.greatest(OUTCOME_WATCH.c.follow_time, now))
    )


async def go_back(connection: AsyncConnection, place: Place, before: Place) -> None:
    """The feed goes on at another place; unless another process was told before."""
    await connection.execute(
        update(OUTCOME_WATCH).where(*_at(before)).values(epoch=place.epoch, sequence=place.sequence)
    )


async def payment_outcomes(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> dict[str, PaymentOutcome]:
    """What is counted of payments, by id."""
    table = PAYMENT_OUTCOME
    rows = await connection.execute(select(table).where(table.c.payment_id.in_(payment_ids)))
    return {
        row.payment_id: PaymentOutcome(
            payment_id=row.payment_id,
            place=Place(row.epoch, row.sequence),
            merchant_id=row.merchant_id,
            currency_code=row.currency_code,
            day=row.day.isoformat(),
            captured_minor=row.captured_minor,
            refunds=tuple(build(item, CountedRefund) for item in json.loads(row.refunds)),
        )
        for row in rows
    }


async def dispute_outcomes(
    connection: AsyncConnection, dispute_ids: Collection[str]
) -> dict[str, DisputeOutcome]:
    """What is counted of disputes, by id."""
    table = DISPUTE_OUTCOME
    rows = await connection.execute(select(table).where(table.c.dispute_id.in_(dispute_ids)))
    return {
        row.dispute_id: DisputeOutcome(**{**row._mapping, "day": row.day.isoformat()})
        for row in rows
    }


async def write(
    connection: AsyncConnection,
    payments: Iterable[PaymentOutcome],
    disputes: Iterable[DisputeOutcome],
    days: Mapping[DayKey, Counts],
    today: date,
) -> None:
    """Writes what counts otherwise than before, and the windows that it is in. Hold the row."""
    await connection.execute(
        _COUNT,
        {
            "payments": json.dumps([_row_of(payment) for payment in payments]),
            "disputes": json.dumps([asdict(dispute) for dispute in disputes]),
            "days": json.dumps([{**key._asdict(), **days[key]._asdict()} for key in sorted(days)]),
        },
    )
    if days:
        await refresh(connection, {key.merchant_id for key in days}, today)


async def refresh(connection: AsyncConnection, merchants: Collection[str], today: date) -> None:
    """Adds up the windows of some merchants anew. Hold the row of `outcome_watch`."""
    await connection.execute(
        _REFRESH,
        {
            "merchants": sorted(merchants),
            "day": today,
            "windows": [window.days for window in RateWindow],
            "most_days": MAX_WINDOW_DAYS,
        },
    )


async def left_behind(connection: AsyncConnection, today: date) -> list[str]:
    """Merchants whose windows end before today, a batch of those that end first.

    The first day is one entry of the index, whatever the planner knows of the others.
    """
    oldest = (await connection.execute(select(func.min(MERCHANT_RATES.c.day)))).scalar_one()
    if oldest is None or oldest >= today:
        return []
    rows = await connection.execute(
        select(MERCHANT_RATES.c.merchant_id).where(MERCHANT_RATES.c.day == oldest).limit(MOVE_BATCH)
    )
    return list(rows.scalars())


def _at(place: Place) -> tuple[Any, ...]:
    return OUTCOME_WATCH.c.epoch == place.epoch, OUTCOME_WATCH.c.sequence == place.sequence


def _row_of(payment: PaymentOutcome) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "epoch": payment.place.epoch,
        "sequence": payment.place.sequence,
        "merchant_id": payment.merchant_id,
        "currency_code": payment.currency_code,
        "day": payment.day,
        "captured_minor": payment.captured_minor,
        "refunds": dumps(payment.refunds),
    }
