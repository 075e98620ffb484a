"""What is linked to items, as it is and as it stands, and what the rules add to it.

Who writes holds the lock of changes.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.matching.breaks import Difference
from reconciliation.matching.item import Content, Item, ItemKey, Leg, Source, State, folded
from reconciliation.matching.match import Match, Rule
from reconciliation.matching.policy import BreakKind
from reconciliation.matching.rules import Popular
from reconciliation.runs.store import Change, span
from runtime.sql_files import read_sql

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
_WRITE = read_sql(__file__, "write_changes")
_IDS = {
    name: f"SELECT nextval('{name}') FROM generate_series(1, %(count)s)"  # noqa: S608  a constant
    for name in ("item_match_ids", "difference_ids")
}


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
            _REACH, {**span(change, leg), "seeds": sorted(wanted)}
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
        _POPULAR, {**span(change, leg), "ordinals": [row.ordinal for row in rows]}
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
        row.difference_id: _difference_of(leg, row, [keys[i] for i in its[row.difference_id]], keys)
        for row in rows
    }


def _difference_of(
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
