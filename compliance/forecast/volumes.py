"""What a merchant charges: by the checks of payments that were allowed, counted by day.

A payment that is checked again counts again, and one that fails at the bank counts too: this errs
on the side of an earlier threshold. Another source of volumes only has to answer `of`.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.forecast.rules import Volume
from compliance.tables import FREEZE_PROGRESS, MERCHANT_VOLUME
from runtime.sql_files import sql_statement

# What a day brings is the mean of so many whole days; four weeks have each weekday alike.
RECENT_DAYS = 28
MOST_DECISIONS = 2_000

_COUNT = sql_statement(__file__, "count_volumes")


class VolumeSource(Protocol):
    """Where volumes come from."""

    async def of(
        self, connection: AsyncConnection, merchant_id: str, as_of: datetime
    ) -> tuple[Volume, ...]:
        """What the merchant charged until then, one for each currency."""
        ...


class CheckedVolumes:
    """Volumes by the decision log."""

    async def of(
        self, connection: AsyncConnection, merchant_id: str, as_of: datetime
    ) -> tuple[Volume, ...]:
        """The days before today count for what a day brings; today is not over."""
        table = MERCHANT_VOLUME
        today = as_of.astimezone(UTC).date()
        recent = table.c.day >= today - timedelta(days=RECENT_DAYS)
        whole = table.c.day < today
        rows = await connection.execute(
            select(
                table.c.currency_code,
                func.sum(table.c.amount_minor).label("total"),
                func.coalesce(func.sum(table.c.amount_minor).filter(recent & whole), 0).label(
                    "recent"
                ),
                func.min(table.c.day).label("first_day"),
            )
            .where(table.c.merchant_id == merchant_id, table.c.day <= today)
            .group_by(table.c.currency_code)
            .order_by(table.c.currency_code)
        )
        return tuple(
            Volume(
                currency_code=row.currency_code,
                total_minor=int(row.total),
                per_day_minor=_a_day(int(row.recent), (today - row.first_day).days),
                first_time=datetime.combine(row.first_day, time(), UTC),
            )
            for row in rows
        )


def _a_day(recent_minor: int, days: int) -> int:
    """The mean of the days that there were; one that has just begun has no day yet."""
    return recent_minor // min(max(days, 1), RECENT_DAYS)


async def count_decisions(connection: AsyncConnection) -> bool:
    """Counts decisions that were not yet; whether there may be more. Hold `freeze_progress`."""
    done = await connection.execute(select(FREEZE_PROGRESS.c.decision_sequence))
    after = done.scalar_one()
    counted = await connection.execute(_COUNT, {"after_sequence": after, "most": MOST_DECISIONS})
    last = counted.scalar_one()
    if last is None:
        return False
    await connection.execute(update(FREEZE_PROGRESS).values(decision_sequence=last))
    return bool(last - after >= MOST_DECISIONS)
