"""What stops everything from being begun."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import database_behind
from runtime.durability_watch import DurabilityWatch
from runtime.errors import ServiceError


class Gate(Protocol):
    """Closed while the database is known to have lost what Stripe has; `RestoreGuard`."""

    @property
    def closed(self) -> bool:
        """Whether nothing may be begun or gone on with."""
        ...

    def check(self) -> None:
        """Raises DATABASE_BEHIND while it is closed."""
        ...


class LossGuard(Gate, Protocol):
    """Is told what the database has lost; `RestoreGuard`."""

    def is_ours(self, carrier: Mapping[str, Any]) -> bool:
        """Whether this deployment has made an object of Stripe's."""
        ...

    async def is_whole(self, connection: AsyncConnection, corridor: str) -> bool:
        """Whether the database that the connection has is known to miss nothing of the corridor."""
        ...

    async def lost(self, reason: str, made: datetime | None = None) -> None:
        """Closes it: something of ours is at Stripe that the database does not know, made then."""
        ...

    async def write_lost(
        self, connection: AsyncConnection, reason: str, made: datetime | None = None
    ) -> None:
        """The same in the transaction that writes down what was lost."""
        ...


@dataclass(frozen=True, slots=True)
class DurableGate:
    """A gate that is closed, too, while what is written has to be on a standby and is on none: an
    operation that is forgotten there may be begun a second time."""

    gate: Gate
    durability: DurabilityWatch

    @property
    def closed(self) -> bool:
        """Whether nothing may be begun or gone on with."""
        return self.gate.closed or self.durability.refuses

    def check(self) -> None:
        """Raises DATABASE_BEHIND or `NotSynchronousError` while it is closed."""
        self.gate.check()
        self.durability.check()


def absent(gate: Gate, not_found: ServiceError, *, known: bool = False) -> ServiceError:
    """What a read that finds nothing is told: what the database has lost may be there all the
    same. What is `known`, because this very call has made or changed it, has been lost since: a
    failover that loses commits takes its place before anybody has noticed."""
    return database_behind() if known or gate.closed else not_found
