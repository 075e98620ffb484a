"""What stops everything from being begun."""

from typing import Protocol

from gateway.errors import database_behind
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


def absent(gate: Gate, not_found: ServiceError) -> ServiceError:
    """What a read that finds nothing is told: what the database has lost may be there all the
    same."""
    return database_behind() if gate.closed else not_found
