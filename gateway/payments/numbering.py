"""Putting changes in order: the stream's sequence is given after the commit, never inside it."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.event_store import NUMBER_BATCH, number_events

# Under load, changes that come within so much time of one another are numbered together.
GATHER_SECONDS = 0.05


class Numbering:
    """Numbers new events; of all processes that try, one does it at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def round(self) -> bool:
        """Numbers what is new; True if there may be more at once."""
        async with self._engine.begin() as connection:
            numbered = await number_events(connection)
        if 0 < numbered < NUMBER_BATCH:
            await asyncio.sleep(GATHER_SECONDS)
        return numbered == NUMBER_BATCH
