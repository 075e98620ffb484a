"""What a package adds to the process; `__main__` puts the parts together."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.loops import Loop
from runtime.server import RegisteredService

# What the service may do in the database: migrations grant it.
DATABASE_ROLE = "reconciliation_service"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What runs and serves for one package."""

    services: Sequence[RegisteredService] = ()
    loops: Sequence[Loop] = ()
