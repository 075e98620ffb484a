"""Putting changes in order: the stream's sequence is given after the commit, never inside it."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.event_store import NUMBER_BATCH, number_events


class Numbering:
    """Numbers new events; of all processes that try, one does it at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def round(self) -> bool:
        """Numbers what is new; True if there may be more at once."""
        async with self._engine.begin() as connection:
            return await number_events(connection) == NUMBER_BATCH
