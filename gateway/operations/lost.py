"""Objects of ours at Stripe whose requests the database has lost.

A request is written down before Stripe is asked, and never deleted: an object that carries one
that is not there was made in a history that the database does not have any more.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ids import RequestMetadata
from gateway.operations.gate import LossGuard
from gateway.operations.requests import unknown_requests
from gateway.stripe_times import made_time


class LostRequests:
    """What events tell of objects whose requests are kept in one table."""

    def __init__(self, engine: AsyncEngine, guard: LossGuard, table: Table) -> None:
        self._engine = engine
        self._guard = guard
        self._table = table

    async def may_be(self, shown: Mapping[str, Any]) -> bool:
        """Whether Stripe is to be asked for what an event is about: it shows an object that is
        lost, or names it only, as thin events do."""
        return "object" not in shown or await self.has_lost(shown)

    async def has_lost(self, made: Mapping[str, Any]) -> bool:
        """Whether an object is ours, and its request is not known."""
        carried = self._carried(made)
        if carried is None:
            return False
        async with self._engine.connect() as connection:
            return bool(await unknown_requests(connection, [carried.request_id], self._table))

    async def tell(self, made: Mapping[str, Any]) -> None:
        """Closes the guard because of an object whose request is lost."""
        await self._guard.lost(f"{made['id']} is at Stripe and not known", made_time(made))

    def _carried(self, made: Mapping[str, Any]) -> RequestMetadata | None:
        if not self._guard.is_ours(made):
            return None
        return RequestMetadata.read_whole(made.get("metadata") or {})
