"""Items that came after their day was closed: each is told of once, as LATE_ACTIVITY, and counts
in the next day that is closed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.closing import store
from reconciliation.conditions.condition import Condition
from reconciliation.conditions.telling import Conditions
from reconciliation.matching.breaks import MAX_NAMED_KEYS
from reconciliation.matching.policy import BreakKind
from reconciliation.runs import store as runs
from reconciliation.runs.matcher import BEGINNING
from runtime.loops import Loop

POLL_SECONDS = 5.0
# Keys that a condition names may be long, and its sentence may not.
MAX_SHOWN_KEY = 64


class LateActivity:
    """Looks for late items among those that matching has looked at."""

    def __init__(self, engine: AsyncEngine, conditions: Conditions) -> None:
        self._engine = engine
        self._conditions = conditions

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("late activity", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once; False, for all is looked at at once."""
        async with self._engine.connect() as connection:
            # Without the lock, which runs would wait for: nearly always there is nothing.
            if not await _has_new(connection):
                return False
        async with self._engine.begin() as connection:
            await self.tell(connection)
        return False

    async def has_untold(self, connection: AsyncConnection, upto: int) -> bool:
        """Whether something up to an item is late and was not told of."""
        after = await store.late_place(connection)
        return upto > after and bool(await store.late_items(connection, after, upto))

    async def tell(self, connection: AsyncConnection) -> None:
        """Tells of what is late up to the last item that was looked at. Takes the lock of changes;
        nothing of the caller's transaction may wait after it."""
        place = await runs.lock(connection, BEGINNING)
        after = await store.late_place(connection)
        if after >= place.last_ordinal:
            return
        rows = await store.late_items(connection, after, place.last_ordinal)
        await store.add_late_look(connection, place.last_ordinal, place.change_number)
        await self._conditions.add(connection, list(conditions_of(rows)))


def conditions_of(rows: Sequence[Any]) -> Iterator[Condition]:
    """One for what came of a source for a closed day; rows are sorted so. Pure."""
    for (corridor, source, day), group in groupby(
        rows, key=lambda row: (row.corridor, row.source, row.book_date)
    ):
        items = list(group)
        amounts: Counter[str] = Counter()
        for item in items:
            amounts[item.currency] += item.amount_minor
        yield Condition(
            kind=BreakKind.LATE_ACTIVITY,
            corridor=corridor,
            subject=f"late {source} {day} {items[0].ordinal}-{items[-1].ordinal}",
            since=min(item.record_time for item in items),
            says=f"{_named([item.key for item in items])} of {source} came after {day} was closed",
            amounts=tuple(sorted(amounts.items())),
        )


async def _has_new(connection: AsyncConnection) -> bool:
    after = await store.late_place(connection)
    return await store.last_looked_at(connection) > after


def _named(keys: Sequence[str]) -> str:
    shown = ", ".join(key[:MAX_SHOWN_KEY] for key in keys[:MAX_NAMED_KEYS])
    more = len(keys) - MAX_NAMED_KEYS
    return shown if more <= 0 else f"{shown} and {more} more"
