"""A database of items as tests use it: gives items, matches, and tells how everything stands."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.items.intake import take
from reconciliation.items.source import Batch
from reconciliation.matching.item import Item, ItemKey, Leg, Source
from reconciliation.runs.matcher import Matcher
from runtime.clock import ManualClock
from runtime.notifier import Notifier
from tests.reconciliation.worlds import START, policy

POLICY = policy()
Members = frozenset[ItemKey]
# By leg: (rule, members) of matches that stand, and (kind, members, amounts, due) of differences.
Stand = Mapping[Leg, tuple[set[Any], set[Any]]]

LIVE = """
    SELECT
        s.leg, s.match_id, s.difference_id, s.is_ignored, s.amount_minor, i.source, i.corridor,
        i.key, m.rule, d.kind, d.amounts, d.due
    FROM standing AS s
    INNER JOIN item AS i ON s.item_id = i.ordinal
    LEFT JOIN item_match AS m ON s.match_id = m.match_id
    LEFT JOIN match_revocation AS r ON s.match_id = r.match_id
    LEFT JOIN difference AS d ON s.difference_id = d.difference_id
    LEFT JOIN difference_end AS e ON s.difference_id = e.difference_id
    WHERE r.match_id IS NULL AND e.difference_id IS NULL
"""


class Books:
    """One database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = ManualClock(START)
        self.matcher = self.with_batches(7)

    def with_batches(self, batch_items: int) -> Matcher:
        """A matcher that looks at so many items at a time."""
        return Matcher(self.engine, POLICY, self.clock, Notifier(), batch_items)

    async def give(self, *items: Item, cursor: str = "", name: str = "test") -> None:
        """Takes items as one batch."""
        async with self.engine.begin() as connection:
            await take(connection, name, Batch(items, cursor), self.clock)

    async def run(self) -> None:
        """Matches until there is nothing to do."""
        while await self.matcher.round():
            pass

    async def later(self, **span: float) -> None:
        """Some time passes, and what became due is told of."""
        self.clock.advance(timedelta(**span))
        await self.run()

    async def rows(self, statement: str) -> list[Any]:
        async with self.engine.connect() as connection:
            return list(await connection.exec_driver_sql(statement))

    async def stand(self) -> Stand:
        """How everything stands."""
        matches: dict[Any, set[Any]] = defaultdict(set)
        differences: dict[Any, set[Any]] = defaultdict(set)
        for row in await self.rows(LIVE):
            item = ItemKey(Source(row.source), row.corridor, row.key)
            if row.match_id is not None:
                matches[row.leg, row.match_id, row.rule].add(item)
            elif row.difference_id is not None:
                amounts = tuple((code, amount) for code, amount in row.amounts)
                differences[row.leg, row.difference_id, row.kind, amounts, row.due].add(item)
        return {
            leg: (
                {
                    (rule, frozenset(members))
                    for (its, _, rule), members in matches.items()
                    if its == leg
                },
                {
                    (kind, frozenset(members), amounts, due)
                    for (its, _, kind, amounts, due), members in differences.items()
                    if its == leg
                },
            )
            for leg in Leg
        }
