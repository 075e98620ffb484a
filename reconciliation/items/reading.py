"""Items as people read them: as they were at a moment, and how they stood."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import Item, Leg, folded
from reconciliation.runs.linked import item_of
from runtime.sql_files import read_sql

# Items that are looked at for a page whose filters leave most of them out.
MAX_LOOKED_AT = 10_000
LOOKED_AT_AT_ONCE = 500

_PLACES = read_sql(__file__, "item_places")
_REVISIONS = read_sql(__file__, "item_revisions")
_STANDINGS = read_sql(__file__, "item_standings")


class Place(NamedTuple):
    """Where an item is in a list."""

    book_day: date
    item_id: int


BEGINNING = Place(date.min, 0)


@dataclass(frozen=True)
class Moment:
    """A time, the last change of then, and the last item that it had looked at."""

    change_number: int
    time: datetime
    last_ordinal: int


@dataclass(frozen=True)
class ItemFilter:
    """Which items; what is None or empty is no filter."""

    source: str = ""
    corridor: str = ""
    first_day: date = date.min
    last_day: date = date.max
    leg: Leg | None = None
    standing: Standing | None = None

    def takes(self, known: "KnownItem") -> bool:
        """Whether an item stands as it is asked for."""
        if self.leg is None and self.standing is None:
            return True
        return any(
            self.leg in (None, leg) and self.standing in (None, stands.standing)
            for leg, stands in known.standings.items()
        )


@dataclass(frozen=True)
class Stands:
    """How an item stands in a leg; one of the ids if it is matched, expected or broken."""

    standing: Standing
    match_id: int = 0
    difference_id: int = 0


@dataclass(frozen=True)
class KnownItem:
    """An item as its last revision says; its book day as the first one says."""

    item_id: int
    item: Item
    book_day: date
    record_time: datetime
    standings: dict[Leg, Stands]
    revisions: Sequence[Any]

    @property
    def place(self) -> Place:
        """Where it is in a list."""
        return Place(self.book_day, self.item_id)


class Page(NamedTuple):
    """A page of items, and after which place the next one begins; None of the last page."""

    items: list[KnownItem]
    after: Place | None


async def page_of(
    connection: AsyncConnection, wanted: ItemFilter, moment: Moment, after: Place, size: int
) -> Page:
    """At most `size` items after a place. Where filters leave much out a page may be short, or
    empty, and not the last."""
    is_filtered = wanted.leg is not None or wanted.standing is not None
    limit = MAX_LOOKED_AT if is_filtered else size
    places = await places_after(connection, wanted, moment, after, limit + 1)
    page: list[KnownItem] = []
    looked_at = places[:limit]
    for start in range(0, len(looked_at), LOOKED_AT_AT_ONCE):
        some = looked_at[start : start + LOOKED_AT_AT_ONCE]
        for known in await known_items(connection, [place.item_id for place in some], moment):
            if not wanted.takes(known):
                continue
            if len(page) == size:
                return Page(page, page[-1].place)
            page.append(known)
    return Page(page, looked_at[-1] if len(places) > limit else None)


async def places_after(
    connection: AsyncConnection, wanted: ItemFilter, moment: Moment, after: Place, limit: int
) -> list[Place]:
    """The places of the next items, without a look at how they stand."""
    if after.book_day < wanted.first_day:
        after = Place(wanted.first_day, 0)
    rows = await connection.exec_driver_sql(
        _PLACES,
        {
            "last_ordinal": moment.last_ordinal,
            "after_day": after.book_day,
            "after": after.item_id,
            "last_day": wanted.last_day,
            "source": wanted.source,
            "corridor": wanted.corridor,
            "limit": limit,
        },
    )
    return [Place(row.book_date, row.item_id) for row in rows]


async def known_items(
    connection: AsyncConnection, item_ids: Sequence[int], moment: Moment
) -> list[KnownItem]:
    """Items by their ids, in that order; those that were not known yet are left out."""
    values = {"item_ids": list(item_ids), "last_ordinal": moment.last_ordinal}
    revisions: dict[int, list[Any]] = defaultdict(list)
    for row in await connection.exec_driver_sql(_REVISIONS, values):
        revisions[row.item_id].append(row)
    standings = await _standings(connection, item_ids, moment)
    found = []
    for item_id in item_ids:
        if rows := revisions.get(item_id):
            (item,) = folded(map(item_of, rows)).values()
            found.append(
                KnownItem(
                    item_id,
                    item,
                    rows[0].book_date,
                    rows[0].record_time,
                    standings.get(item_id, {}),
                    rows,
                )
            )
    return found


async def _standings(
    connection: AsyncConnection, item_ids: Collection[int], moment: Moment
) -> dict[int, dict[Leg, Stands]]:
    rows = await connection.exec_driver_sql(
        _STANDINGS, {"item_ids": list(item_ids), "change_number": moment.change_number}
    )
    found: dict[int, dict[Leg, Stands]] = defaultdict(dict)
    for row in rows:
        leg = Leg(row.leg)
        assert leg not in found[row.item_id], "an item stands in one way"
        found[row.item_id][leg] = _stands(row, moment.time)
    return found


def _stands(row: Any, now: datetime) -> Stands:
    if row.match_id is not None:
        return Stands(Standing.MATCHED, match_id=row.match_id)
    if row.is_ignored:
        return Stands(Standing.IGNORED)
    standing = Standing.BROKEN if row.due <= now else Standing.EXPECTED
    return Stands(standing, difference_id=row.difference_id)
