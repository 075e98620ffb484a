"""Breaks and matches as people read them, now or at a past moment, and what people say of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.errors import (
    break_not_found,
    change_not_found,
    item_not_found,
    match_not_found,
)
from reconciliation.items.reading import Moment
from reconciliation.matching.item import ItemKey, Source
from runtime.sql_files import read_sql

# After all changes, and all items.
NOW = 2**62

_BREAKS = read_sql(__file__, "read_breaks")
# Of what has not ended now there is a table; of what had not ended then, there is not.
_OPEN_BREAKS = _BREAKS.replace(
    "FROM difference AS d\n",
    "FROM open_difference AS o INNER JOIN difference AS d ON o.difference_id = d.difference_id\n",
)
assert _OPEN_BREAKS != _BREAKS, "the statement is of that form"
_MATCHES = read_sql(__file__, "read_matches")
_CHANGE_AT = """
    SELECT change_number, last_ordinal FROM change
    WHERE change_number = (SELECT max(change_number) FROM change WHERE record_time <= %(time)s)
"""
_CHANGE = """
    SELECT
        max(change_number) AS last_change,
        max(last_ordinal) FILTER (WHERE change_number = %(number)s) AS last_ordinal,
        max(record_time) FILTER (WHERE change_number = %(number)s) AS record_time
    FROM change
    WHERE change_number IN (%(number)s, (SELECT max(change_number) FROM change))
"""
_KEYS = """
    SELECT item_id, source, corridor, key, currency FROM item WHERE ordinal = any(%(ids)s)
"""
_ID = """
    SELECT item_id FROM item
    WHERE source = %(source)s AND corridor = %(corridor)s AND key = %(key)s LIMIT 1
"""
_EVENTS = """
    SELECT sequence, difference_id, event, assignee, client, note, record_time
    FROM break_event WHERE sequence > %(after)s ORDER BY sequence LIMIT %(limit)s
"""
_LAST = "SELECT coalesce(max(sequence), 0) FROM break_event"
_ADD_EVENT = """
    INSERT INTO break_event (difference_id, event, assignee, client, note, record_time)
    VALUES (%(break_id)s, %(event)s, %(assignee)s, %(client)s, %(note)s, %(now)s)
"""
_LAST_STEP = """
    SELECT round, step, client FROM ignore_step
    WHERE leg = %(leg)s AND item_id = %(item_id)s
    ORDER BY round DESC, step DESC LIMIT 1
"""
_ADD_STEP = """
    INSERT INTO ignore_step (leg, item_id, round, step, client, note, change_number)
    VALUES (%(leg)s, %(item_id)s, %(round)s, %(step)s, %(client)s, %(note)s, %(change_number)s)
"""
_ACCEPTED_BY = """
    SELECT client FROM acceptance_step WHERE difference_id = %(break_id)s ORDER BY step
"""
_ADD_ACCEPTANCE = """
    INSERT INTO acceptance_step (difference_id, step, client, note, change_number)
    VALUES (%(break_id)s, %(step)s, %(client)s, %(note)s, %(change_number)s)
"""


@dataclass(frozen=True)
class BreakFilter:
    """Which breaks; what is empty is no filter. No state stands for due and overdue ones."""

    state: str = ""
    kind: str = ""
    leg: str = ""
    corridor: str = ""
    assignee: str = ""


@dataclass(frozen=True)
class MatchFilter:
    """Which matches; what is empty or 0 is no filter."""

    match_id: int = 0
    leg: str = ""
    item_id: int = 0
    include_revoked: bool = False


def moment_now(time: datetime) -> Moment:
    """All that is known, at the time that it is."""
    return Moment(NOW, time, NOW)


async def moment_at(connection: AsyncConnection, time: datetime) -> Moment:
    """What was known at a time."""
    row = (await connection.exec_driver_sql(_CHANGE_AT, {"time": time})).one_or_none()
    return Moment(0, time, 0) if row is None else Moment(row.change_number, time, row.last_ordinal)


async def moment_of(connection: AsyncConnection, number: int) -> Moment:
    """What was known with a change. Raises `CHANGE_NOT_FOUND`."""
    row = (await connection.exec_driver_sql(_CHANGE, {"number": number})).one()
    if row.last_ordinal is None:
        raise change_not_found(number, row.last_change or 0)
    return Moment(number, row.record_time, row.last_ordinal)


async def list_breaks(
    connection: AsyncConnection,
    wanted: BreakFilter,
    moment: Moment,
    after: int,
    limit: int,
    break_ids: Collection[int] | None = None,
) -> Sequence[Any]:
    """The rows of breaks in the order in which they were found."""
    is_open = moment.change_number == NOW and wanted.state not in ("ANY", "ENDED")
    rows = await connection.exec_driver_sql(
        _OPEN_BREAKS if is_open else _BREAKS,
        {
            "state": wanted.state,
            "kind": wanted.kind,
            "leg": wanted.leg,
            "corridor": wanted.corridor,
            "assignee": wanted.assignee,
            "change_number": moment.change_number,
            "now": moment.time,
            "after": after,
            "limit": limit,
            "every": break_ids is None,
            "ids": list(break_ids or ()),
        },
    )
    return rows.all()


async def get_break(connection: AsyncConnection, break_id: int, moment: Moment) -> Any:
    """The row of a break. Raises `BREAK_NOT_FOUND`."""
    rows = await list_breaks(connection, BreakFilter("ANY"), moment, 0, 1, [break_id])
    if not rows:
        raise break_not_found(break_id)
    return rows[0]


async def list_matches(
    connection: AsyncConnection, wanted: MatchFilter, moment: Moment, after: int, limit: int
) -> Sequence[Any]:
    """The rows of matches in the order in which they were made."""
    rows = await connection.exec_driver_sql(
        _MATCHES,
        {
            "match_id": wanted.match_id,
            "leg": wanted.leg,
            "item_id": wanted.item_id,
            "include_revoked": wanted.include_revoked,
            "change_number": moment.change_number,
            "after": after,
            "limit": limit,
        },
    )
    return rows.all()


async def get_match(connection: AsyncConnection, match_id: int, moment: Moment) -> Any:
    """The row of a match, revoked or not. Raises `MATCH_NOT_FOUND`."""
    wanted = MatchFilter(match_id=match_id, include_revoked=True)
    rows = await list_matches(connection, wanted, moment, 0, 1)
    if not rows:
        raise match_not_found(match_id)
    return rows[0]


async def keys_of(
    connection: AsyncConnection, item_ids: Collection[int]
) -> Mapping[int, tuple[ItemKey, str]]:
    """What identifies items, and their currencies, by their ids."""
    rows = await connection.exec_driver_sql(_KEYS, {"ids": sorted(set(item_ids))})
    return {
        row.item_id: (ItemKey(Source(row.source), row.corridor, row.key), row.currency)
        for row in rows
    }


async def id_of(connection: AsyncConnection, key: ItemKey) -> int:
    """The id of an item. Raises `ITEM_NOT_FOUND`."""
    rows = await connection.exec_driver_sql(
        _ID, {"source": key.source.value, "corridor": key.corridor, "key": key.key}
    )
    item_id = rows.scalar_one_or_none()
    if item_id is None:
        raise item_not_found(key)
    return int(item_id)


async def events_after(connection: AsyncConnection, sequence: int, limit: int) -> Sequence[Any]:
    """The rows of what happened, in order."""
    rows = await connection.exec_driver_sql(_EVENTS, {"after": sequence, "limit": limit})
    return rows.all()


async def last_sequence(connection: AsyncConnection) -> int:
    """The last event's place; 0 if there is none."""
    return int((await connection.exec_driver_sql(_LAST)).scalar_one())


async def add_event(
    connection: AsyncConnection,
    break_id: int,
    event: str,
    client: str,
    now: datetime,
    *,
    assignee: str = "",
    note: str = "",
) -> None:
    """Writes down what somebody did. Nothing of the transaction may wait after it."""
    await connection.exec_driver_sql(
        _ADD_EVENT,
        {
            "break_id": break_id,
            "event": event,
            "assignee": assignee,
            "client": client,
            "note": note,
            "now": now,
        },
    )


@dataclass(frozen=True)
class IgnoreStep:
    """The last step of two people who want an item ignored (1, 2) or looked at again (3, 4)."""

    round: int = 0
    step: int = 4
    client: str = ""

    @property
    def following(self) -> tuple[int, int]:
        """Round and step of the next one."""
        return (self.round + 1, 1) if self.step == 4 else (self.round, self.step + 1)


async def last_ignore_step(connection: AsyncConnection, leg: str, item_id: int) -> IgnoreStep:
    """Who has said something of an item last; before the first, what begins with round 1."""
    rows = await connection.exec_driver_sql(_LAST_STEP, {"leg": leg, "item_id": item_id})
    row = rows.first()
    return IgnoreStep() if row is None else IgnoreStep(row.round, row.step, row.client)


async def add_ignore_step(
    connection: AsyncConnection,
    leg: str,
    item_id: int,
    place: tuple[int, int],
    client: str,
    note: str,
    change_number: int,
) -> None:
    """Writes down who wants it, at round and step."""
    await connection.exec_driver_sql(
        _ADD_STEP,
        {
            "leg": leg,
            "item_id": item_id,
            "round": place[0],
            "step": place[1],
            "client": client,
            "note": note,
            "change_number": change_number,
        },
    )


async def accepted_by(connection: AsyncConnection, break_id: int) -> list[str]:
    """Who accepts a break as it is, in order."""
    rows = await connection.exec_driver_sql(_ACCEPTED_BY, {"break_id": break_id})
    return [row.client for row in rows]


async def add_acceptance(
    connection: AsyncConnection,
    break_id: int,
    step: int,
    client: str,
    note: str,
    change_number: int,
) -> None:
    """Writes down who accepts it."""
    await connection.exec_driver_sql(
        _ADD_ACCEPTANCE,
        {
            "break_id": break_id,
            "step": step,
            "client": client,
            "note": note,
            "change_number": change_number,
        },
    )
