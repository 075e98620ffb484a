"""Changes in PostgreSQL: made one at a time, with what is paired, revoked, ended and told by one.
What is linked to an item, and what the rules make of it, is in `linked.py`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.matching.item import Leg
from reconciliation.matching.rules import MAX_CARRIERS, RULES_VERSION
from runtime.sql_files import read_sql

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation.change', 0))"
_LAST = """
    SELECT change_number, last_ordinal, due_until FROM change ORDER BY change_number DESC LIMIT 1
"""
_NEXT = """
    SELECT
        max(n.ordinal) AS upto,
        array_agg(n.ordinal ORDER BY n.ordinal) FILTER (
            WHERE n.group_key <> '' OR n.source = 'PAYOUT'
        ) AS of_payouts
    FROM (
        SELECT ordinal, group_key, source
        FROM item WHERE ordinal > %(after)s ORDER BY ordinal LIMIT %(limit)s
    ) AS n
"""
# The last of a page; what has the same time comes along with it.
_DUE = """
    SELECT max(n.due) FROM (
        SELECT d.due FROM difference AS d
        WHERE d.due > %(after)s AND d.due <= %(now)s ORDER BY d.due LIMIT %(limit)s
    ) AS n
"""
_BEGIN = """
    INSERT INTO change (cause, last_ordinal, due_until, rules_version, policy_version, record_time)
    VALUES (
        %(cause)s, %(last_ordinal)s, %(due_until)s, %(rules_version)s, %(policy_version)s, %(now)s
    ) RETURNING change_number
"""
_PAIR = read_sql(__file__, "pair_isolated")
_SEEDS = read_sql(__file__, "seeds")
_REVOKE = """
    INSERT INTO match_revocation (match_id, change_number, client, note)
    SELECT n.match_id, %(change_number)s, %(client)s, %(note)s
    FROM unnest(%(ids)s::bigint[]) AS n (match_id)
"""
_END = """
    INSERT INTO difference_end (difference_id, change_number)
    SELECT n.difference_id, %(change_number)s FROM unnest(%(ids)s::bigint[]) AS n (difference_id)
"""
_OPEN_BREAKS = read_sql(__file__, "open_breaks")
_END_BREAKS = read_sql(__file__, "end_breaks")
_KEEP_ASSIGNEES = read_sql(__file__, "keep_assignees")


@dataclass(frozen=True)
class Place:
    """How far changes have come."""

    change_number: int
    last_ordinal: int
    due_until: datetime


@dataclass(frozen=True)
class Change:
    """The change that is being made."""

    number: int
    after: int
    """Items up to there were looked at before."""
    upto: int
    now: datetime


@dataclass(frozen=True)
class Paired:
    """What has been matched without the rules."""

    pairs: Mapping[Leg, int]
    """How many, in the legs whose references pair items one to one."""
    remaining: list[int]
    """The other items and revisions that the change looks at first, by their ordinals."""


async def lock(connection: AsyncConnection, beginning: datetime) -> Place:
    """How far changes have come; nobody else makes one until the transaction ends."""
    await connection.exec_driver_sql(_LOCK)
    row = (await connection.exec_driver_sql(_LAST)).one_or_none()
    if row is None:
        return Place(0, 0, beginning)
    return Place(row.change_number, row.last_ordinal, row.due_until)


async def next_items(connection: AsyncConnection, after: int, limit: int) -> tuple[int, list[int]]:
    """The last of the next items, `after` if there are none; and those of them that are payouts
    or say what payout they are part of."""
    rows = await connection.exec_driver_sql(_NEXT, {"after": after, "limit": limit})
    row = rows.one()
    return row.upto or after, row.of_payouts or []


async def next_due(
    connection: AsyncConnection, after: datetime, now: datetime, limit: int
) -> datetime | None:
    """When the last of the next differences was due; None if no more are until now."""
    values = {"after": after, "now": now, "limit": limit}
    due: datetime | None = (await connection.exec_driver_sql(_DUE, values)).scalar_one()
    return due


async def begin_change(
    connection: AsyncConnection,
    cause: str,
    place: Place,
    upto: int,
    due_until: datetime,
    policy_version: str,
    now: datetime,
) -> Change:
    """Writes down that a change is made; hold the lock."""
    rows = await connection.exec_driver_sql(
        _BEGIN,
        {
            "cause": cause,
            "last_ordinal": upto,
            "due_until": due_until,
            "rules_version": RULES_VERSION,
            "policy_version": policy_version,
            "now": now,
        },
    )
    return Change(int(rows.scalar_one()), place.last_ordinal, upto, now)


async def pair_isolated(connection: AsyncConnection, change: Change) -> Paired:
    """Matches new items that have to do with nothing but each other."""
    values = {"change_number": change.number, "after": change.after, "upto": change.upto}
    row = (await connection.exec_driver_sql(_PAIR, values)).one()
    return Paired({Leg.BOOKED: row.booked, Leg.BANKED: row.banked}, row.remaining or [])


async def seeds(
    connection: AsyncConnection, change: Change, leg: Leg, ordinals: Sequence[int]
) -> list[int]:
    """The items that have to be looked at, with all that is linked to them, because of new ones."""
    values = {**span(change, leg), "ordinals": ordinals}
    rows = await connection.exec_driver_sql(_SEEDS, values)
    return [int(item_id) for item_id in rows.scalars()]


async def revoke(
    connection: AsyncConnection,
    change: Change,
    match_ids: Collection[int],
    client: str = "",
    note: str = "",
) -> None:
    """Ends matches; without a client because the rules no longer say so."""
    if match_ids:
        await connection.exec_driver_sql(
            _REVOKE,
            {
                "change_number": change.number,
                "ids": sorted(match_ids),
                "client": client,
                "note": note,
            },
        )


async def end(connection: AsyncConnection, change: Change, difference_ids: Collection[int]) -> None:
    """Ends differences."""
    if difference_ids:
        values = {"change_number": change.number, "ids": sorted(difference_ids)}
        await connection.exec_driver_sql(_END, values)


async def tell(
    connection: AsyncConnection,
    change: Change,
    *,
    due_before: datetime,
    due_until: datetime,
    added: Sequence[int],
    ended: Sequence[int],
    client: str = "",
    note: str = "",
) -> None:
    """Writes the events of breaks; nothing of the transaction may wait after it."""
    if ended:
        await connection.exec_driver_sql(
            _END_BREAKS,
            {"ended": list(ended), "client": client, "note": note, "now": change.now},
        )
    if added and ended:
        values = {"added": list(added), "now": change.now}
        await connection.exec_driver_sql(_KEEP_ASSIGNEES, values)
    await connection.exec_driver_sql(
        _OPEN_BREAKS,
        {
            "due_before": due_before,
            "due_until": due_until,
            "added": list(added),
            "now": change.now,
        },
    )


def span(change: Change, leg: Leg) -> dict[str, Any]:
    """What statements about a leg are told of a change."""
    return {
        "change_number": change.number,
        "after": change.after,
        "upto": change.upto,
        "leg": leg.value,
        "sources": sorted(source.value for source in leg.sources),
        "max_carriers": MAX_CARRIERS,
    }
