"""What stops everything from being begun."""

from typing import Protocol


class Gate(Protocol):
    """Closed while the database is known to have lost what Stripe has; `RestoreGuard`."""

    @property
    def closed(self) -> bool:
        """Whether nothing may be begun or gone on with."""
        ...

    def check(self) -> None:
        """Raises DATABASE_BEHIND while it is closed."""
        ...
