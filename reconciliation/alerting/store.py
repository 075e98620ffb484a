"""What is told of breaks, in PostgreSQL: found once, sent at least once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.alerting.alert import Alert, Channel, ToldBreak
from runtime.sql_files import read_sql

SENT, DEAD, PENDING = "SENT", "DEAD", "PENDING"
_NEWS = read_sql(__file__, "break_news")
_OPEN = read_sql(__file__, "open_breaks_told")
_CLAIM = read_sql(__file__, "claim_alert")
# One look at a time.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation.alert', 0))"
_LAST_LOOK = """
    SELECT event_sequence, overdue_until FROM alert_look ORDER BY look_number DESC LIMIT 1
"""
_LAST_EVENT = "SELECT coalesce(max(sequence), 0) FROM break_event"
_ADD_LOOK = """
    INSERT INTO alert_look (event_sequence, overdue_until, record_time)
    VALUES (%(sequence)s, %(overdue_until)s, %(now)s)
"""
_COUNT_OPEN = "SELECT count(*) FROM open_difference WHERE due <= %(now)s"
_ADD = """
    INSERT INTO alert (
        channel, about, subject, body, record_time, state, attempts, next_attempt_time, failure
    )
    SELECT n.channel, n.about, n.subject, n.body, %(now)s, 'PENDING', 0, %(now)s, ''
    FROM jsonb_to_recordset(%(alerts)s::jsonb) AS n (
        channel text, about text, subject text, body text
    )
    ON CONFLICT (channel, about) DO NOTHING
"""
_FINISH = """
    UPDATE alert SET
        state = %(state)s, attempts = %(attempts)s, next_attempt_time = %(next)s,
        failure = %(failure)s, lease_until = NULL
    WHERE alert_number = %(alert_number)s AND lease_until = %(lease_until)s
"""


@dataclass(frozen=True)
class Look:
    """Up to where breaks were looked at."""

    sequence: int
    overdue_until: datetime


@dataclass(frozen=True)
class Claimed:
    """An alert that this process is at."""

    alert_number: int
    alert: Alert
    record_time: datetime
    attempts: int
    """With this one."""
    lease_until: datetime


async def last_look(connection: AsyncConnection, now: datetime) -> Look:
    """Where to go on, while nobody else does; at first with what is new from now on."""
    await connection.exec_driver_sql(_LOCK)
    row = (await connection.exec_driver_sql(_LAST_LOOK)).one_or_none()
    if row is not None:
        return Look(row.event_sequence, row.overdue_until)
    look = Look(int((await connection.exec_driver_sql(_LAST_EVENT)).scalar_one()), now)
    await add_look(connection, look, now)
    return look


async def add_look(connection: AsyncConnection, look: Look, now: datetime) -> None:
    """Writes down how far it was looked."""
    await connection.exec_driver_sql(
        _ADD_LOOK,
        {"sequence": look.sequence, "overdue_until": look.overdue_until, "now": now},
    )


async def news_after(
    connection: AsyncConnection, sequence: int, limit: int
) -> list[tuple[int, str, datetime, ToldBreak]]:
    """Events in order: sequence, what happened, when, and to which break."""
    rows = await connection.exec_driver_sql(_NEWS, {"after": sequence, "limit": limit})
    return [(row.sequence, row.event, row.record_time, _told(row)) for row in rows]


async def open_breaks(
    connection: AsyncConnection,
    now: datetime,
    overdue_after: datetime,
    overdue_until: datetime,
    limit: int,
) -> list[ToldBreak]:
    """Breaks that became overdue within a time, or will."""
    rows = await connection.exec_driver_sql(
        _OPEN,
        {
            "now": now,
            "overdue_after": overdue_after,
            "overdue_until": overdue_until,
            "limit": limit,
        },
    )
    return [_told(row) for row in rows]


async def count_open(connection: AsyncConnection, now: datetime) -> int:
    """How many breaks are open."""
    return int((await connection.exec_driver_sql(_COUNT_OPEN, {"now": now})).scalar_one())


async def add(connection: AsyncConnection, alerts: Sequence[Alert], now: datetime) -> None:
    """Has alerts sent; one that is there is left as it is."""
    if not alerts:
        return
    rows = [
        {
            "channel": alert.channel.value,
            "about": alert.about,
            "subject": alert.subject,
            "body": alert.body,
        }
        for alert in alerts
    ]
    await connection.exec_driver_sql(_ADD, {"alerts": json.dumps(rows), "now": now})


async def claim(
    connection: AsyncConnection, channel: Channel, now: datetime, lease_until: datetime
) -> Claimed | None:
    """The next alert that is due; None if there is none."""
    rows = await connection.exec_driver_sql(
        _CLAIM, {"channel": channel.value, "now": now, "lease_until": lease_until}
    )
    row = rows.one_or_none()
    if row is None:
        return None
    alert = Alert(Channel(row.channel), row.about, row.body, row.subject)
    return Claimed(row.alert_number, alert, row.record_time, row.attempts, lease_until)


async def finish(
    connection: AsyncConnection,
    claimed: Claimed,
    state: str,
    next_attempt_time: datetime,
    *,
    attempts: int | None = None,
    failure: str = "",
) -> None:
    """Writes down what came of an attempt, unless another process has taken it since."""
    await connection.exec_driver_sql(
        _FINISH,
        {
            "alert_number": claimed.alert_number,
            "lease_until": claimed.lease_until,
            "state": state,
            "attempts": claimed.attempts if attempts is None else attempts,
            "next": next_attempt_time,
            "failure": failure,
        },
    )


def _told(row: Any) -> ToldBreak:
    return ToldBreak(
        break_id=row.difference_id,
        leg=row.leg,
        subject=row.subject,
        kind=row.kind,
        corridor=row.corridor,
        amounts=tuple((code, int(amount)) for code, amount in row.amounts),
        since=row.since,
        due=row.due,
        overdue=row.overdue,
        sentence=row.sentence,
    )
