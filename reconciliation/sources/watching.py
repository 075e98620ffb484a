"""Watches that the feeds are open, and tells of those that are not."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.conditions.telling import Conditions
from reconciliation.items.contact import contacts_of
from reconciliation.matching.policy import BreakKind
from reconciliation.sources.staleness import FEEDS, stale_feeds
from runtime.clock import Clock
from runtime.loops import Loop

POLL_SECONDS = 30.0


class FeedWatch:
    """Looks at when each feed was last open, whichever process has it open."""

    def __init__(
        self, engine: AsyncEngine, names: Sequence[str], conditions: Conditions, clock: Clock
    ) -> None:
        """`names` are those of the sources that this process follows."""
        self._engine = engine
        self._names = names
        self._conditions = conditions
        self._clock = clock
        self._begun: datetime | None = None

    def loop(self) -> Loop:
        """Looks now and then, for time passes."""
        return Loop("feed watch", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once."""
        now = self._clock.now()
        self._begun = self._begun or now
        patience = self._conditions.policy.patience.answer
        async with self._engine.begin() as connection:
            contacts = await contacts_of(connection, self._names, now)
            for name, contact in contacts.items():
                found = stale_feeds({name: contact}, now, patience)
                # Who was down is not the one to say that others are: it has just begun to ask.
                if found and now - self._begun < patience:
                    continue
                await self._conditions.tell_all(
                    connection, [BreakKind.FEED_STALE], "", found, f"{FEEDS}{name}"
                )
        return False
