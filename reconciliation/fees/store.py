"""Fees that are not as they should be, in PostgreSQL; append-only."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.fees.schedule import Expected
from reconciliation.fees.variance import Against, Variance
from runtime.sql_files import read_sql

_LOOK = """
    SELECT upto_ordinal, upto_change FROM fee_look ORDER BY look_number DESC LIMIT 1
"""
_ADD_LOOK = """
    INSERT INTO fee_look (upto_ordinal, upto_change) VALUES (%(ordinal)s, %(change)s)
"""
_CHANGED = """
    SELECT change_number, last_ordinal FROM change ORDER BY change_number DESC LIMIT 1
"""
_WRITE = """
    INSERT INTO schedule_fee_check (
        item_id, corridor, book_date, told_minor, expected_minor, is_right, price, schedule,
        record_time
    )
    SELECT
        n.item_id, n.corridor, n.day, n.told_minor, n.expected_minor, n.is_right, n.price,
        %(schedule)s, %(now)s
    FROM jsonb_to_recordset(%(checks)s::jsonb) AS n (
        item_id bigint, corridor text, day date, told_minor bigint, expected_minor bigint,
        is_right boolean, price text
    )
"""
_BOOKED = read_sql(__file__, "find_booked_variances")
_REVOKED = read_sql(__file__, "revoked_variances")
_NEW = read_sql(__file__, "new_fees")
_OUTDATED = read_sql(__file__, "outdated_checks")
_OF_DAY = read_sql(__file__, "variances_of_day")


class Look(NamedTuple):
    """How far fees were compared: items, and changes of what is matched."""

    ordinal: int
    change: int


class Day(NamedTuple):
    """A corridor's book day."""

    corridor: str
    day: date


@dataclass(frozen=True, slots=True)
class Moved:
    """What Stripe took a fee of, as the gateway told it."""

    item_id: int
    day: Day
    content: bytes


async def last_look(connection: AsyncConnection) -> Look:
    """How far it was looked; the beginning if never."""
    row = (await connection.exec_driver_sql(_LOOK)).one_or_none()
    return Look(0, 0) if row is None else Look(row.upto_ordinal, row.upto_change)


async def changed(connection: AsyncConnection) -> Look:
    """How far matching has come."""
    row = (await connection.exec_driver_sql(_CHANGED)).one_or_none()
    return Look(0, 0) if row is None else Look(row.last_ordinal, row.change_number)


async def add_look(connection: AsyncConnection, look: Look) -> None:
    """Writes down how far it was looked."""
    await connection.exec_driver_sql(_ADD_LOOK, look._asdict())


async def find_booked(
    connection: AsyncConnection, after: int, upto: int, now: datetime
) -> set[Day]:
    """The days on which matches that some changes have made, or revoked, have other fees; the new
    ones are kept."""
    values = {"after": after, "upto": upto}
    made = await connection.exec_driver_sql(_BOOKED, {**values, "now": now})
    revoked = await connection.exec_driver_sql(_REVOKED, values)
    return {Day(row.corridor, row.book_date) for row in (*made.all(), *revoked.all())}


async def new_fees(connection: AsyncConnection, after: int, upto: int) -> list[Moved]:
    """What Stripe took fees of, among some items."""
    return _moved(await connection.exec_driver_sql(_NEW, {"after": after, "upto": upto}))


async def outdated(connection: AsyncConnection, schedule: str, limit: int) -> list[Moved]:
    """What was not right by a schedule of before and was not compared with this one."""
    values = {"schedule": schedule, "limit": limit}
    return _moved(await connection.exec_driver_sql(_OUTDATED, values))


async def write_checks(
    connection: AsyncConnection,
    schedule: str,
    found: Iterable[tuple[Moved, int, Expected]],
    now: datetime,
) -> None:
    """Keeps what some fees were, and what they should be."""
    rows = [
        {
            "item_id": moved.item_id,
            "corridor": moved.day.corridor,
            "day": moved.day.day.isoformat(),
            "told_minor": told,
            "expected_minor": expected.fee_minor,
            "is_right": expected.is_right,
            "price": expected.price,
        }
        for moved, told, expected in found
    ]
    if rows:
        values = {"checks": json.dumps(rows), "schedule": schedule, "now": now}
        await connection.exec_driver_sql(_WRITE, values)


async def of_day(connection: AsyncConnection, day: Day) -> Sequence[Variance]:
    """All fees of a day that are not as they should be."""
    rows = await connection.exec_driver_sql(_OF_DAY, day._asdict())
    return [
        Variance(
            against=Against(row.against),
            corridor=day.corridor,
            currency=row.currency,
            day=day.day,
            key=row.key,
            told_minor=int(row.told_minor),
            expected_minor=int(row.expected_minor),
        )
        for row in rows
    ]


def _moved(rows: Iterable[Any]) -> list[Moved]:
    return [
        Moved(row.item_id, Day(row.corridor, row.book_date), bytes(row.content)) for row in rows
    ]
