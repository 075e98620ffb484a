"""Closed periods in PostgreSQL; who writes holds the lock of changes."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.closing.period import ClosedDays, Period, PeriodKind
from reconciliation.closing.statement import BankPlace, CarriedBreak, StatedItem, StatedMatch
from reconciliation.matching.item import ItemKey, Leg, Source
from runtime.sql_files import read_sql

_CORRIDORS = read_sql(__file__, "corridors")
_PERIOD_ITEMS = read_sql(__file__, "period_items")
_IN_ORDER = read_sql(__file__, "in_order")
_MATCHES_OF_ITEMS = read_sql(__file__, "matches_of_items")
_STATED_MATCHES = read_sql(__file__, "stated_matches")
_BANK_FILES = read_sql(__file__, "bank_files")
_BYTES_OF_ITEMS = read_sql(__file__, "bytes_of_items")
_OPEN_UNTIL = read_sql(__file__, "open_until")
_LATE_ITEMS = read_sql(__file__, "late_items")
_LIST = read_sql(__file__, "list_closings")
_CLOSED_DAYS = """
    SELECT corridor, min(first_day) AS first_day, max(first_day) AS last_day FROM closed_period
    WHERE corridor = any(%(corridors)s) AND kind = 'DAY' GROUP BY corridor
"""
_MONTHS = """
    SELECT corridor, first_day, closing_number FROM closed_period
    WHERE corridor = any(%(corridors)s) AND kind = 'MONTH'
"""
_CLOSED_AT = """
    SELECT last_ordinal, closing_number FROM closed_period
    WHERE corridor = %(corridor)s AND kind = 'DAY' AND first_day = %(day)s
"""
_ADD_BANK_PLACES = """
    INSERT INTO closing_bank_files (closing_number, bank_account, files)
    SELECT %(closing_number)s, n.bank_account, n.files
    FROM unnest(%(accounts)s::text [], %(files)s::integer []) AS n (bank_account, files)
"""
_NEW_BANK_FILES = """
    SELECT c.bank_account, c.files, coalesce(max(b.files), 0) AS before
    FROM closing_bank_files AS c
    LEFT JOIN closing_bank_files AS b
        ON c.bank_account = b.bank_account AND b.closing_number < c.closing_number
    WHERE c.closing_number = %(closing_number)s
    GROUP BY c.bank_account, c.files
    ORDER BY c.bank_account
"""
_PIECE = "SELECT content FROM bank_file_piece WHERE file_id = %(file_id)s AND piece = %(piece)s"
_UNSEEN = """
    SELECT EXISTS (
        SELECT FROM item
        WHERE ordinal > %(last_ordinal)s AND corridor = any(%(corridors)s)
            AND book_date <= %(last_day)s
    )
"""
_STEP = """
    SELECT client FROM closing_step
    WHERE kind = %(kind)s AND first_day = %(first_day)s AND corridors = %(corridors)s::text[]
        AND carried = %(carried)s::bigint[]
    ORDER BY step_number LIMIT 1
"""
_ADD_STEP = """
    INSERT INTO closing_step (
        kind, first_day, corridors, carried, client, remark, change_number
    ) VALUES (
        %(kind)s, %(first_day)s, %(corridors)s, %(carried)s::bigint[], %(client)s, %(remark)s,
        %(change_number)s
    )
"""
_LAST = """
    SELECT closing_number, sha256 FROM closing ORDER BY closing_number DESC LIMIT 1
"""
_CHANGE = """
    SELECT rules_version, policy_version FROM change WHERE change_number = %(number)s
"""
_ADD = """
    INSERT INTO closing (
        closing_number, kind, first_day, last_day, change_number, last_ordinal, note, sha256,
        item_count, late_count, match_count, carried, client, approver, remark, record_time
    ) VALUES (
        %(closing_number)s, %(kind)s, %(first_day)s, %(last_day)s, %(change_number)s,
        %(last_ordinal)s, %(note)s, %(sha256)s, %(item_count)s, %(late_count)s, %(match_count)s,
        %(carried)s::bigint[], %(client)s, %(approver)s, %(remark)s, %(now)s
    )
"""
_ADD_PERIODS = """
    INSERT INTO closed_period (corridor, kind, first_day, closing_number, last_ordinal)
    SELECT n.corridor, %(kind)s, %(first_day)s, %(closing_number)s, %(last_ordinal)s
    FROM unnest(%(corridors)s::text[]) AS n (corridor)
"""
_LATE_PLACE = """
    SELECT greatest(
        coalesce((SELECT max(upto_ordinal) FROM late_look), 0),
        coalesce((SELECT last_ordinal FROM closing WHERE closing_number = 1), 4611686018427387904)
    )
"""
_LATE_LOOK = """
    INSERT INTO late_look (upto_ordinal, change_number)
    VALUES (%(upto)s, %(change_number)s)
"""
_LOOKED_AT = "SELECT last_ordinal FROM change ORDER BY change_number DESC LIMIT 1"
_UNKNOWN_KEYS = """
    SELECT n.key FROM unnest(%(keys)s::text[]) AS n (key)
    WHERE NOT EXISTS (
        SELECT FROM item AS i
        WHERE i.source = %(source)s AND i.corridor = %(corridor)s AND i.key = n.key
    )
    ORDER BY n.key LIMIT 1
"""
_LAST_ITEM = "SELECT coalesce(max(ordinal), 0) FROM item"


@dataclass(frozen=True)
class Span:
    """Which items are of a period of a corridor."""

    corridor: str
    first_day: date
    last_day: date
    last_ordinal: int
    """Up to which they had come when its last day was closed."""
    first_closed: date
    late_after: int
    """Those of closed days before it had not come up to there."""


async def corridors(connection: AsyncConnection) -> list[str]:
    """The corridors that items are of, sorted."""
    return list((await connection.exec_driver_sql(_CORRIDORS)).scalars())


async def closed_days(
    connection: AsyncConnection, names: Collection[str]
) -> Mapping[str, ClosedDays]:
    """What is closed, by corridor; corridors of which nothing is are left out."""
    asked = {"corridors": list(names)}
    months: dict[str, dict[date, int]] = {}
    for row in await connection.exec_driver_sql(_MONTHS, asked):
        months.setdefault(row.corridor, {})[row.first_day] = row.closing_number
    return {
        row.corridor: ClosedDays(row.first_day, row.last_day, months.get(row.corridor, {}))
        for row in await connection.exec_driver_sql(_CLOSED_DAYS, asked)
    }


async def closed_at(connection: AsyncConnection, corridor: str, day: date) -> Any | None:
    """The closing of a day of a corridor, with its last item; None if it is not closed."""
    rows = await connection.exec_driver_sql(_CLOSED_AT, {"corridor": corridor, "day": day})
    return rows.one_or_none()


async def has_unseen(
    connection: AsyncConnection, names: Collection[str], last_day: date, last_ordinal: int
) -> bool:
    """Whether items have come that matching has not looked at yet."""
    rows = await connection.exec_driver_sql(
        _UNSEEN,
        {"corridors": list(names), "last_day": last_day, "last_ordinal": last_ordinal},
    )
    return bool(rows.scalar_one())


async def open_until(
    connection: AsyncConnection,
    names: Collection[str],
    last_day: date,
    end: datetime,
    now: datetime,
    limit: int,
) -> list[CarriedBreak]:
    """Breaks that are open, in the order of their ids; at most `limit`."""
    rows = await connection.exec_driver_sql(
        _OPEN_UNTIL,
        {
            "corridors": list(names),
            "last_day": last_day,
            "end": end,
            "now": now,
            "limit": limit,
        },
    )
    return [
        CarriedBreak(
            row.difference_id,
            row.kind,
            row.corridor,
            tuple((code, int(amount)) for code, amount in row.amounts),
        )
        for row in rows
    ]


async def first_asker(
    connection: AsyncConnection, period: Period, names: Sequence[str], carried: Sequence[int]
) -> str:
    """Who has asked for exactly this; empty if nobody has."""
    values = {**_of(period), "corridors": list(names), "carried": list(carried)}
    return str((await connection.exec_driver_sql(_STEP, values)).scalar_one_or_none() or "")


async def add_step(
    connection: AsyncConnection,
    period: Period,
    names: Sequence[str],
    carried: Sequence[int],
    client: str,
    remark: str,
    change_number: int,
) -> None:
    """Writes down who asks for it."""
    await connection.exec_driver_sql(
        _ADD_STEP,
        {
            **_of(period),
            "corridors": list(names),
            "carried": list(carried),
            "client": client,
            "remark": remark,
            "change_number": change_number,
        },
    )


async def period_items(connection: AsyncConnection, span: Span) -> list[int]:
    """The ids of a period's items, in the order of statements."""
    rows = await connection.exec_driver_sql(
        _PERIOD_ITEMS,
        {
            "corridor": span.corridor,
            "first_day": span.first_day,
            "last_day": span.last_day,
            "last_ordinal": span.last_ordinal,
            "first_closed": span.first_closed,
            "late_after": span.late_after,
        },
    )
    ids = list(rows.scalars())
    ordered = await connection.exec_driver_sql(_IN_ORDER, {"item_ids": ids})
    return list(ordered.scalars())


async def matches_of(
    connection: AsyncConnection, item_ids: Sequence[int], change_number: int
) -> set[int]:
    """The ids of the matches that some items are in."""
    rows = await connection.exec_driver_sql(
        _MATCHES_OF_ITEMS, {"item_ids": list(item_ids), "change_number": change_number}
    )
    return set(rows.scalars())


async def stated_matches(
    connection: AsyncConnection, match_ids: Sequence[int]
) -> list[StatedMatch]:
    """Matches with what they take, by their ids."""
    found: dict[int, StatedMatch] = {}
    allocations: dict[int, list[tuple[ItemKey, str, int]]] = {}
    rows = await connection.exec_driver_sql(_STATED_MATCHES, {"match_ids": list(match_ids)})
    for row in rows:
        taken = allocations.setdefault(row.match_id, [])
        found.setdefault(row.match_id, StatedMatch(row.match_id, Leg(row.leg), row.rule, taken))
        key = ItemKey(Source(row.source), row.corridor, row.key)
        taken.append((key, row.currency, row.amount_minor))
    return list(found.values())


async def bytes_of(
    connection: AsyncConnection, items: Sequence[StatedItem]
) -> dict[ItemKey, bytes]:
    """The bytes that some items were made of, of those that have any kept."""
    rows = await connection.exec_driver_sql(
        _BYTES_OF_ITEMS,
        {
            "sources": [item.key.source.value for item in items],
            "corridors": [item.key.corridor for item in items],
            "keys": [item.key.key for item in items],
            "hashes": [item.sha256 for item in items],
        },
    )
    return {ItemKey(Source(row.source), row.corridor, row.key): row.content for row in rows}


async def bank_files(connection: AsyncConnection, corridors: Sequence[str]) -> Sequence[Any]:
    """All files of the bank accounts of some corridors, by account, in the order they came in."""
    values = {"corridors": list(corridors), "account": "", "after": 0, "limit": None}
    return (await connection.exec_driver_sql(_BANK_FILES, values)).all()


async def add_bank_places(
    connection: AsyncConnection, closing_number: int, places: Sequence[BankPlace]
) -> None:
    """Writes down how many files of each account a closing names."""
    values = {
        "closing_number": closing_number,
        "accounts": [place.account for place in places],
        "files": [place.files for place in places],
    }
    await connection.exec_driver_sql(_ADD_BANK_PLACES, values)


async def new_bank_files(
    connection: AsyncConnection, closing_number: int
) -> AsyncIterator[tuple[Any, AsyncIterator[bytes]]]:
    """The files that a closing names and none before it did, each with the pieces of its bytes."""
    values: dict[str, Any] = {"closing_number": closing_number}
    accounts = (await connection.exec_driver_sql(_NEW_BANK_FILES, values)).all()
    for row in accounts:
        values = {
            "corridors": [],
            "account": row.bank_account,
            "after": row.before,
            "limit": row.files - row.before,
        }
        for file in (await connection.exec_driver_sql(_BANK_FILES, values)).all():
            yield file, _pieces(connection, file.file_id)


async def _pieces(connection: AsyncConnection, file_id: int) -> AsyncIterator[bytes]:
    for piece in count():
        values = {"file_id": file_id, "piece": piece}
        content = (await connection.exec_driver_sql(_PIECE, values)).scalar_one_or_none()
        if content is None:
            return
        yield content


async def last_closing(connection: AsyncConnection) -> tuple[int, bytes | None]:
    """The number of the last closing and the hash of its text; 0 and None before the first."""
    row = (await connection.exec_driver_sql(_LAST)).one_or_none()
    return (0, None) if row is None else (row.closing_number, bytes(row.sha256))


async def versions_of(connection: AsyncConnection, change_number: int) -> tuple[int, str]:
    """Which rules and policy a change went by."""
    row = (await connection.exec_driver_sql(_CHANGE, {"number": change_number})).one()
    return row.rules_version, row.policy_version


async def add_closing(
    connection: AsyncConnection, period: Period, names: Sequence[str], **values: Any
) -> None:
    """Writes a closing down, for some corridors."""
    of_it = {**_of(period), **values, "last_day": period.last_day}
    await connection.exec_driver_sql(_ADD, of_it)
    await connection.exec_driver_sql(_ADD_PERIODS, {**of_it, "corridors": list(names)})


async def list_closings(
    connection: AsyncConnection,
    *,
    closing_number: int = 0,
    kind: str = "",
    corridor: str = "",
    first_day: date = date.min,
    last_day: date = date.max,
    before: int = 2**62,
    limit: int = 1,
) -> Sequence[Any]:
    """The rows of closings, the newest first."""
    rows = await connection.exec_driver_sql(
        _LIST,
        {
            "closing_number": closing_number,
            "kind": kind,
            "corridor": corridor,
            "first_day": first_day,
            "last_day": last_day,
            "before": before,
            "limit": limit,
        },
    )
    return rows.all()


async def late_place(connection: AsyncConnection) -> int:
    """Up to which item it was looked for late ones; beyond all of them while nothing is closed."""
    return int((await connection.exec_driver_sql(_LATE_PLACE)).scalar_one())


async def last_looked_at(connection: AsyncConnection) -> int:
    """The last item that matching has looked at."""
    return int((await connection.exec_driver_sql(_LOOKED_AT)).scalar_one_or_none() or 0)


async def late_items(connection: AsyncConnection, after: int, upto: int) -> Sequence[Any]:
    """Rows of items that came after their day was closed."""
    rows = await connection.exec_driver_sql(_LATE_ITEMS, {"after": after, "upto": upto})
    return rows.all()


async def add_late_look(connection: AsyncConnection, upto: int, change_number: int) -> None:
    """Writes down how far it was looked."""
    values = {"upto": upto, "change_number": change_number}
    await connection.exec_driver_sql(_LATE_LOOK, values)


async def unknown_key(
    connection: AsyncConnection, source: Source, corridor: str, keys: Sequence[str]
) -> str:
    """The first of some keys that no item has; empty if there is none."""
    values = {"source": source.value, "corridor": corridor, "keys": list(keys)}
    rows = await connection.exec_driver_sql(_UNKNOWN_KEYS, values)
    return str(rows.scalar_one_or_none() or "")


async def last_item(connection: AsyncConnection) -> int:
    """The last item that has come."""
    return int((await connection.exec_driver_sql(_LAST_ITEM)).scalar_one())


def _of(period: Period) -> dict[str, Any]:
    kind: PeriodKind = period.kind
    return {"kind": kind.value, "first_day": period.first_day}
