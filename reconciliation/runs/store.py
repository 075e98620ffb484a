"""Matches, differences and how items stand, in PostgreSQL; who writes holds the lock of changes."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.matching.breaks import Difference
from reconciliation.matching.item import Content, Item, ItemKey, Leg, Source, State, folded
from reconciliation.matching.match import Match, Rule
from reconciliation.matching.policy import BreakKind
from reconciliation.matching.rules import MAX_CARRIERS, RULES_VERSION, Popular
from runtime.sql_files import read_sql

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation.change', 0))"
_LAST = """
    SELECT change_number, last_ordinal, due_until FROM change ORDER BY change_number DESC LIMIT 1
"""
_UPTO = """
    SELECT max(n.ordinal) FROM (
        SELECT ordinal FROM item WHERE ordinal > %(after)s ORDER BY ordinal LIMIT %(limit)s
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
_ORDINALS = """
    SELECT
        array_agg(ordinal ORDER BY ordinal) AS every,
        array_agg(ordinal ORDER BY ordinal) FILTER (WHERE group_key <> '') AS of_payouts
    FROM item WHERE ordinal > %(after)s AND ordinal <= %(upto)s
"""
_PAIR = read_sql(__file__, "pair_isolated")
_SEEDS = read_sql(__file__, "seeds")
_REACH = read_sql(__file__, "reach")
_POPULAR = read_sql(__file__, "popular")
_ITEMS = read_sql(__file__, "items")
_STANDINGS = read_sql(__file__, "standings")
_MEMBERS = read_sql(__file__, "members")
_REVOKED = read_sql(__file__, "revoked_by_people")
_DIFFERENCES = """
    SELECT difference_id, kind, amounts, since, due, overdue, sentence, proposal
    FROM difference WHERE difference_id = any(%(ids)s)
"""
_REVOKE = """
    INSERT INTO match_revocation (match_id, change_number, client, note)
    SELECT n.match_id, %(change_number)s, %(client)s, %(note)s
    FROM unnest(%(ids)s::bigint[]) AS n (match_id)
"""
_END = """
    INSERT INTO difference_end (difference_id, change_number)
    SELECT n.difference_id, %(change_number)s FROM unnest(%(ids)s::bigint[]) AS n (difference_id)
"""
_WRITE = read_sql(__file__, "write_changes")
_OPEN_BREAKS = read_sql(__file__, "open_breaks")
_END_BREAKS = read_sql(__file__, "end_breaks")
_KEEP_ASSIGNEES = read_sql(__file__, "keep_assignees")
_IDS = {
    name: f"SELECT nextval('{name}') FROM generate_series(1, %(count)s)"  # noqa: S608  a constant
    for name in ("item_match_ids", "difference_ids")
}


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
class Standing:
    """The last row of how an item stands."""

    generation: int
    match_id: int | None
    difference_id: int | None
    is_ignored: bool
    rule: Rule | None
    has_ended: bool


@dataclass
class Linked:
    """Items of a leg with everything that is linked to them, as they are and as they stand."""

    leg: Leg
    ids: Mapping[ItemKey, int]
    items: Mapping[ItemKey, Item]
    standings: Mapping[ItemKey, Standing]
    match_members: Mapping[int, frozenset[ItemKey]]
    differences: Mapping[int, Difference]
    popular: Popular
    revoked: frozenset[frozenset[ItemKey]]


@dataclass
class Additions:
    """What a change adds; ids are given when they are written."""

    leg: Leg
    matches: list[tuple[Match, str, str]] = field(default_factory=list)
    """With the client and the note of a person's."""
    differences: list[Difference] = field(default_factory=list)
    ignored: list[ItemKey] = field(default_factory=list)


async def lock(connection: AsyncConnection, beginning: datetime) -> Place:
    """How far changes have come; nobody else makes one until the transaction ends."""
    await connection.exec_driver_sql(_LOCK)
    row = (await connection.exec_driver_sql(_LAST)).one_or_none()
    if row is None:
        return Place(0, 0, beginning)
    return Place(row.change_number, row.last_ordinal, row.due_until)


async def next_ordinal(connection: AsyncConnection, after: int, limit: int) -> int:
    """The last of the next items; `after` if there are none."""
    rows = await connection.exec_driver_sql(_UPTO, {"after": after, "limit": limit})
    return int(rows.scalar_one() or after)


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


async def ordinals_of(connection: AsyncConnection, change: Change) -> tuple[list[int], list[int]]:
    """The items and revisions that the change looks at first, and those of a payout among them."""
    values = {"after": change.after, "upto": change.upto}
    row = (await connection.exec_driver_sql(_ORDINALS, values)).one()
    return row.every or [], row.of_payouts or []


async def pair_isolated(connection: AsyncConnection, change: Change, leg: Leg) -> set[int]:
    """Matches new items that have to do with nothing but each other; those items."""
    rows = await connection.exec_driver_sql(
        _PAIR,
        {**_span(change, leg), "left_source": leg.left.value, "right_source": leg.right.value},
    )
    return set(rows.scalar_one() or ())


async def seeds(
    connection: AsyncConnection, change: Change, leg: Leg, ordinals: Sequence[int]
) -> list[int]:
    """The items that have to be looked at, with all that is linked to them, because of new ones."""
    values = {**_span(change, leg), "ordinals": ordinals}
    rows = await connection.exec_driver_sql(_SEEDS, values)
    return [int(item_id) for item_id in rows.scalars()]


async def load_linked(
    connection: AsyncConnection, change: Change, leg: Leg, from_ids: Collection[int]
) -> Linked:
    """Some items and everything that is linked to them, by what they are or by what they are in."""
    wanted, reached = set(from_ids), set[int]()
    standings: dict[int, Standing] = {}
    members: dict[tuple[int | None, int | None], set[int]] = {}
    # What a match or a difference had together may no longer be linked.
    while not wanted <= reached:
        rows = await connection.exec_driver_sql(
            _REACH, {**_span(change, leg), "seeds": sorted(wanted)}
        )
        reached = set(rows.scalars())
        asked = {"leg": leg.value, "item_ids": sorted(reached)}
        standings = {
            row.item_id: Standing(
                row.generation,
                row.match_id,
                row.difference_id,
                row.is_ignored,
                Rule(row.rule) if row.rule else None,
                row.has_ended,
            )
            for row in await connection.exec_driver_sql(_STANDINGS, asked)
        }
        members = await _members(connection, standings.values())
        wanted = reached | {item_id for ids in members.values() for item_id in ids}
    ids, items, popular = await _items(connection, change, leg, sorted(reached))
    keys = {item_id: key for key, item_id in ids.items()}
    revoked = await connection.exec_driver_sql(
        _REVOKED, {"leg": leg.value, "item_ids": sorted(reached)}
    )
    return Linked(
        leg=leg,
        ids=ids,
        items=items,
        standings={keys[item_id]: standing for item_id, standing in standings.items()},
        match_members={
            match_id: frozenset(keys[i] for i in its)
            for (match_id, _), its in members.items()
            if match_id is not None
        },
        differences=await _differences(connection, leg, members, keys),
        popular=popular,
        # One with an item that is not linked any more is no group that the rules could make.
        revoked=frozenset(
            frozenset(keys[i] for i in row.item_ids)
            for row in revoked
            if all(i in keys for i in row.item_ids)
        ),
    )


async def write(
    connection: AsyncConnection, change: Change, linked: Linked, additions: Additions
) -> list[int]:
    """Adds matches and differences; the ids of the differences."""
    match_ids = await _new_ids(connection, "item_match_ids", len(additions.matches))
    difference_ids = await _new_ids(connection, "difference_ids", len(additions.differences))
    standings: list[dict[str, Any]] = []

    def stands(key: ItemKey, **how: Any) -> None:
        before = linked.standings.get(key)
        standings.append(
            {
                "leg": linked.leg.value,
                "item_id": linked.ids[key],
                "generation": 0 if before is None else before.generation + 1,
                "is_ignored": False,
                **how,
            }
        )

    for match_id, (match, _, _) in zip(match_ids, additions.matches, strict=True):
        for allocation in match.allocations:
            stands(allocation.item, match_id=match_id, amount_minor=allocation.amount_minor)
    for difference_id, difference in zip(difference_ids, additions.differences, strict=True):
        for key in difference.items:
            stands(key, difference_id=difference_id)
    for key in additions.ignored:
        stands(key, is_ignored=True)
    if standings:
        await connection.exec_driver_sql(
            _WRITE,
            {
                "change_number": change.number,
                "matches": json.dumps(
                    [
                        {
                            "match_id": match_id,
                            "leg": linked.leg.value,
                            "rule": match.rule.value,
                            "client": client,
                            "note": note,
                        }
                        for match_id, (match, client, note) in zip(
                            match_ids, additions.matches, strict=True
                        )
                    ]
                ),
                "differences": json.dumps(
                    [
                        _difference_row(difference_id, difference, linked.ids)
                        for difference_id, difference in zip(
                            difference_ids, additions.differences, strict=True
                        )
                    ]
                ),
                "standings": json.dumps(standings),
            },
        )
    return difference_ids


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


async def _items(
    connection: AsyncConnection, change: Change, leg: Leg, item_ids: list[int]
) -> tuple[dict[ItemKey, int], Mapping[ItemKey, Item], Popular]:
    values = {"item_ids": item_ids, "upto": change.upto}
    rows = (await connection.exec_driver_sql(_ITEMS, values)).all()
    ids: dict[ItemKey, int] = {}
    items = []
    for row in rows:
        item = item_of(row)
        ids[item.id] = row.item_id
        items.append(item)
    found = await connection.exec_driver_sql(
        _POPULAR, {**_span(change, leg), "ordinals": [row.ordinal for row in rows]}
    )
    references, buckets = set(), set()
    for row in found:
        if row.token:
            references.add((row.corridor, row.token))
        else:
            buckets.add((row.corridor, row.currency, row.amount_minor))
    return ids, folded(items), Popular(frozenset(references), frozenset(buckets))


async def _members(
    connection: AsyncConnection, standings: Iterable[Standing]
) -> dict[tuple[int | None, int | None], set[int]]:
    """The items of all matches and differences that stand, by either id."""
    live = [standing for standing in standings if not standing.has_ended]
    match_ids = {s.match_id for s in live if s.match_id is not None}
    difference_ids = {s.difference_id for s in live if s.difference_id is not None}
    rows = await connection.exec_driver_sql(
        _MEMBERS, {"match_ids": sorted(match_ids), "difference_ids": sorted(difference_ids)}
    )
    members: dict[tuple[int | None, int | None], set[int]] = defaultdict(set)
    for row in rows:
        members[row.match_id, row.difference_id].add(row.item_id)
    return members


async def _differences(
    connection: AsyncConnection,
    leg: Leg,
    members: Mapping[tuple[int | None, int | None], set[int]],
    keys: Mapping[int, ItemKey],
) -> dict[int, Difference]:
    its = {found: ids for (_, found), ids in members.items() if found is not None}
    rows = await connection.exec_driver_sql(_DIFFERENCES, {"ids": sorted(its)})
    return {
        row.difference_id: difference_of(leg, row, [keys[i] for i in its[row.difference_id]], keys)
        for row in rows
    }


def difference_of(
    leg: Leg, row: Any, items: Iterable[ItemKey], keys: Mapping[int, ItemKey]
) -> Difference:
    """The difference of a row."""
    return Difference(
        leg=leg,
        kind=BreakKind(row.kind),
        items=tuple(sorted(items)),
        amounts=tuple((code, int(amount)) for code, amount in row.amounts),
        since=row.since,
        due=row.due,
        overdue=row.overdue,
        sentence=row.sentence,
        proposal=tuple(sorted(keys[i] for i in row.proposal if i in keys)),
    )


def item_of(row: Any) -> Item:
    """The item of a row, as that revision says."""
    return Item(
        source=Source(row.source),
        corridor=row.corridor,
        key=row.key,
        currency=row.currency,
        amount_minor=row.amount_minor,
        instant=row.instant,
        book_date=row.book_date,
        sha256=bytes(row.sha256),
        tokens=frozenset(row.tokens),
        group=row.group_key,
        state=State(row.state),
        content=Content(row.content),
        revision=row.revision,
    )


def _difference_row(
    difference_id: int, difference: Difference, ids: Mapping[ItemKey, int]
) -> dict[str, Any]:
    return {
        "difference_id": difference_id,
        "leg": difference.leg.value,
        "kind": difference.kind.value,
        "corridor": difference.items[0].corridor,
        "amounts": difference.amounts,
        "since": difference.since.isoformat(),
        "due": difference.due.isoformat(),
        "overdue": difference.overdue.isoformat(),
        "sentence": difference.sentence,
        "proposal": [ids[key] for key in difference.proposal],
    }


async def _new_ids(connection: AsyncConnection, name: str, count: int) -> list[int]:
    if not count:
        return []
    rows = await connection.exec_driver_sql(_IDS[name], {"count": count})
    return [int(number) for number in rows.scalars()]


def _span(change: Change, leg: Leg) -> dict[str, Any]:
    return {
        "change_number": change.number,
        "after": change.after,
        "upto": change.upto,
        "leg": leg.value,
        "sources": [leg.left.value, leg.right.value],
        "max_carriers": MAX_CARRIERS,
    }
