"""Comparisons of reports in PostgreSQL; append-only."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.conditions.condition import Condition
from reconciliation.matching.book_days import BookDays
from reconciliation.matching.policy import BreakKind
from reconciliation.reports.comparing import Kind, Movement, ReportDifference, ReportName
from runtime.sql_files import read_sql

# Of one comparison; how many there are in all is kept, too.
MAX_KEPT = 1_000
_LAST = read_sql(__file__, "last_checks")
_STANDING = read_sql(__file__, "standing_checks")
_BALANCES = read_sql(__file__, "balances_of_items")
_LEFT = read_sql(__file__, "left_in_balance")
_WRITE = """
    INSERT INTO report_check (
        report_id, corridor, kind, start_time, end_time, reported, listed, differences, says,
        amounts, record_time
    )
    VALUES (
        %(report_id)s, %(corridor)s, %(kind)s, %(start_time)s, %(end_time)s, %(reported)s,
        %(listed)s, %(differences)s, %(says)s, %(amounts)s::jsonb, %(now)s
    ) RETURNING check_number
"""
_KEEP = """
    INSERT INTO report_difference (check_number, position, kind, key, listed, reported)
    SELECT %(check_number)s, n.position, n.kind, n.key, n.listed, n.reported
    FROM jsonb_to_recordset(%(differences)s::jsonb)
        AS n (position integer, kind text, key text, listed jsonb, reported jsonb)
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """How often a report was compared: first and last, and what the last one found."""

    first: datetime
    last: datetime
    differences: int


async def checked(
    connection: AsyncConnection, report_ids: Collection[str]
) -> Mapping[str, Checked]:
    """What was compared of some reports."""
    rows = await connection.exec_driver_sql(_LAST, {"report_ids": list(report_ids)})
    return {
        row.report_id: Checked(row.first_time, row.last_time, int(row.differences)) for row in rows
    }


async def balances(connection: AsyncConnection, corridor: str, end: datetime) -> Mapping[str, int]:
    """By currency what all items of Stripe's that were made before a time come to."""
    rows = await connection.exec_driver_sql(_BALANCES, {"corridor": corridor, "end_time": end})
    return {row.currency: int(row.net) for row in rows}


async def left_in_balance(
    connection: AsyncConnection, corridor: str, end: datetime, paid_later: Sequence[str]
) -> list[Movement]:
    """What was fed, was made before a time and is in no payout that took effect by then, without
    gross, fee and category; `paid_later` are payouts that were made before and took effect later.
    """
    values = {"corridor": corridor, "end_time": end, "paid_later": list(paid_later)}
    rows = await connection.exec_driver_sql(_LEFT, values)
    return [Movement(row.key, row.currency, int(row.amount_minor)) for row in rows]


async def write(
    connection: AsyncConnection,
    report: ReportName,
    counts: tuple[int, int],
    differences: Sequence[ReportDifference],
    condition: Condition | None,
    now: datetime,
) -> None:
    """Keeps a comparison: how many rows were reported and listed, what differed, what is told."""
    amounts = condition.amounts if condition is not None else ()
    written = await connection.exec_driver_sql(
        _WRITE,
        {
            "report_id": report.report_id,
            "corridor": report.corridor,
            "kind": report.kind.value,
            "start_time": report.start,
            "end_time": report.end,
            "reported": counts[0],
            "listed": counts[1],
            "differences": len(differences),
            "says": condition.says if condition is not None else "",
            "amounts": json.dumps(amounts),
            "now": now,
        },
    )
    kept = [
        {
            "position": position,
            "kind": difference.kind.value,
            "key": difference.key,
            "listed": _said(difference.listed),
            "reported": _said(difference.reported),
        }
        for position, difference in enumerate(differences[:MAX_KEPT], 1)
    ]
    values: dict[str, Any] = {"check_number": written.scalar_one(), "differences": json.dumps(kept)}
    await connection.exec_driver_sql(_KEEP, values)


async def standing(
    connection: AsyncConnection, corridor: str, book_days: BookDays
) -> list[Condition]:
    """What holds of all reports of a corridor, by their last comparisons."""
    rows = await connection.exec_driver_sql(_STANDING, {"corridor": corridor})
    return [
        Condition(
            BreakKind.REPORT_DIFFERS,
            corridor,
            ReportName(
                row.report_id,
                corridor,
                Kind(row.kind),
                row.start_time,
                row.end_time,
                book_days.day_of(corridor, row.start_time),
            ).subject,
            row.end_time,
            row.says,
            tuple((code, int(amount)) for code, amount in row.amounts),
        )
        for row in rows
        if row.differences
    ]


def _said(movement: Movement | None) -> dict[str, Any] | None:
    return asdict(movement) if movement is not None else None
