"""What the breakers of a machine group have told each other, in PostgreSQL."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.rails.breaker import CLOSED
from runtime.sql_files import sql_statement

# Notified when a breaker of any replica has changed its state.
BREAKER_CHANNEL = "gateway_rail_breaker"

_REPORT = sql_statement(__file__, "report_breaker")
_CLAIM = sql_statement(__file__, "claim_probes")
_READ = sql_statement(__file__, "read_breakers")


@dataclass(frozen=True)
class BreakerChange:
    """One transition of the breaker of a group of endpoints, as one replica saw it."""

    corridor: str
    endpoint_group: str
    old_state: str
    new_state: str
    replica: str
    calls: int = 0
    failure_rate: float = 0.0
    slow_call_rate: float = 0.0
    change_number: int = 0


class BreakerStore:
    """The tables rail_breaker and rail_breaker_change of one machine group."""

    def __init__(self, engine: AsyncEngine, machine_group: str) -> None:
        self._engine = engine
        self._machine_group = machine_group

    async def report(self, change: BreakerChange) -> int:
        """Writes a transition down and tells the others; gives its number."""
        parameters = {
            "machine_group": self._machine_group,
            "corridor": change.corridor,
            "endpoint_group": change.endpoint_group,
            "old_state": change.old_state,
            "new_state": change.new_state,
            "replica": change.replica,
            "calls": change.calls,
            "failure_rate": change.failure_rate,
            "slow_call_rate": change.slow_call_rate,
            "channel": BREAKER_CHANNEL,
        }
        async with self._engine.begin() as connection:
            row = (await connection.execute(_REPORT, parameters)).one()
        number: int = row.change_number
        return number

    async def read(self) -> list[BreakerChange]:
        """The last transition of each breaker."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_READ, {"machine_group": self._machine_group})
            return [
                BreakerChange(
                    corridor=row.corridor,
                    endpoint_group=row.endpoint_group,
                    old_state="",
                    new_state=row.state,
                    replica=row.replica,
                    change_number=row.change_number,
                )
                for row in rows
            ]

    async def claim_probes(
        self, corridor: str, endpoint_group: str, replica: str, lease: timedelta
    ) -> bool:
        """Whether this replica is the one that probes now, for so long."""
        parameters = {
            "machine_group": self._machine_group,
            "corridor": corridor,
            "endpoint_group": endpoint_group,
            "replica": replica,
            "lease": lease,
            "closed": CLOSED,
        }
        async with self._engine.begin() as connection:
            return (await connection.execute(_CLAIM, parameters)).first() is not None
