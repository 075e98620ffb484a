"""Where ledgers are: what a shard says of the ledgers that it has or had.

A change of a placement moves the shard's version by one. A process remembers where ledgers are for
as long as the version is what it was, and looks at it at least once in a lease: so a move that
waits for a lease after it has said that a ledger has left knows that nobody reads it there any
more. See docs/adr/0077-shards.md.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from ledger.limits import LIMITS, Limits
from ledger.statements import statement
from runtime.connections import Connections
from runtime.loops import Loop

DEFAULT_SHARD = "default"
MAX_KNOWN_LEDGERS = 10_000
# So often is the version looked at within a lease.
LOOKS_PER_LEASE = 4


class State(StrEnum):
    """What a shard says of a ledger; `shard` is the other one in all but the first."""

    HERE = "HERE"
    LEAVING = "LEAVING"
    LEFT = "LEFT"
    ARRIVING = "ARRIVING"
    ARRIVED = "ARRIVED"

    @property
    def is_served(self) -> bool:
        """Whether the ledger is read here."""
        return self in {State.HERE, State.LEAVING, State.ARRIVED}


class Placement(NamedTuple):
    """One ledger as one shard knows it."""

    name: str
    request_id: str
    state: State
    shard: str
    first_shard: str


class Placements:
    """What one shard says, remembered for as long as it holds."""

    def __init__(
        self, connections: Connections, on_change: Callable[[], None], limits: Limits = LIMITS
    ) -> None:
        """`on_change` is called when something has changed since it was last looked."""
        self._connections = connections
        self._on_change = on_change
        self._lease_seconds = limits.placement_lease_seconds
        self._version: int | None = None
        self._valid_until = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        # The ledgers that are here.
        self._here: OrderedDict[str, None] = OrderedDict()

    def loop(self) -> Loop:
        """Keeps the lease, so that hardly a call has to wait for it."""
        return Loop("placements", self._look, poll_seconds=self._lease_seconds / LOOKS_PER_LEASE)

    def has(self, name: str) -> bool:
        """Whether the ledger is known to be here; False may also mean that it has to be read."""
        return time.monotonic() < self._valid_until and name in self._here

    async def read(self, name: str) -> Placement | None:
        """The shard's own word for it, None if it has none."""
        # The version is read first: what changes after it is noticed by the next look.
        await self._refresh()
        version = self._version
        found = await read_placement(self._connections, name)
        if found is None:
            return None
        if found.state.is_served and version == self._version:
            self._here[name] = None
            if len(self._here) > MAX_KNOWN_LEDGERS:
                self._here.popitem(last=False)
        return found

    async def find(self, name: str, request_id: str) -> list[Placement]:
        """Of that name, or of the ledger that this request_id made."""
        rows = await self._connections.fetch(
            statement("find_placements"), {"name": name, "request_id": request_id}
        )
        return [placement_of(*row) for row in rows]

    async def claim(self, name: str, request_id: str, shard: str) -> None:
        """Takes name and request_id for another shard, unless one of them is taken."""
        async with self._connections.borrow() as connection:
            await connection.execute(
                statement("claim_placement"),
                {"name": name, "request_id": request_id, "shard": shard},
            )

    async def _refresh(self) -> None:
        if time.monotonic() < self._valid_until:
            return
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._look_once(), name="placements")
        # Shielded: who gives up must not take it away from the others.
        await asyncio.shield(self._refreshing)

    async def _look(self) -> bool:
        await self._look_once()
        return False

    async def _look_once(self) -> None:
        began = time.monotonic()
        ((version,),) = await self._connections.fetch(statement("read_placement_version"))
        if version != self._version:
            known, self._version = self._version, version
            self._here.clear()
            if known is not None:
                self._on_change()
        self._valid_until = max(self._valid_until, began + self._lease_seconds)


async def read_placement(connections: Connections, name: str) -> Placement | None:
    """What the shard of these connections says of a ledger, None if nothing."""
    parameters = {"name": name, "request_id": ""}  # Which no ledger has.
    rows = await connections.fetch(statement("find_placements"), parameters)
    return placement_of(*rows[0]) if rows else None


def placement_of(name: str, request_id: str, state: str, shard: str, first: str) -> Placement:
    """A row as it was read."""
    return Placement(name, request_id, State(state), shard, first)
