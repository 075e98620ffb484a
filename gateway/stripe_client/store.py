"""What operators allow on each corridor (append-only: the last change counts), and what the
breakers of a machine group have reported to each other, in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.stripe_client.breaker import CLOSED
from gateway.stripe_client.call import CorridorMode
from runtime.sql_files import sql_statement

MODE_CHANGE = Table(
    "corridor_mode_change",
    MetaData(),
    Column("change_number", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("change_time", DateTime(timezone=True), nullable=False),
)

# What operators asked for, once per request_id.
REQUEST = Table(
    "corridor_request",
    MetaData(),
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class ModeChange:
    """One decision of an operator."""

    corridor: str
    mode: CorridorMode
    reason: str
    request_id: str
    change_time: datetime


class CorridorStore:
    """The table corridor_mode_change."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_changes(self) -> dict[str, ModeChange]:
        """The change that counts of each corridor that ever had one."""
        statement = (
            select(MODE_CHANGE)
            .ext(distinct_on(MODE_CHANGE.c.corridor))
            .order_by(MODE_CHANGE.c.corridor, MODE_CHANGE.c.change_number.desc())
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return {row.corridor: _change_of(row) for row in rows}


async def add_change(connection: AsyncConnection, change: ModeChange) -> None:
    """Writes a change of a corridor's mode."""
    # Changes get their numbers one after the other, so that the last one is the last.
    await connection.execute(
        select(func.pg_advisory_xact_lock(func.hashtext("corridor_mode_change")))
    )
    await connection.execute(
        insert(MODE_CHANGE).values(
            corridor=change.corridor,
            mode=change.mode.value,
            reason=change.reason,
            request_id=change.request_id,
            change_time=change.change_time,
        )
    )


def _change_of(row: Any) -> ModeChange:
    return ModeChange(
        corridor=row.corridor,
        mode=CorridorMode(row.mode),
        reason=row.reason,
        request_id=row.request_id,
        change_time=row.change_time,
    )


# Notified when a breaker of any replica has changed its state.
BREAKER_CHANNEL = "gateway_corridor_breaker"

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
    """The tables corridor_breaker and corridor_breaker_change of one machine group."""

    def __init__(self, engine: AsyncEngine, machine_group: str) -> None:
        self._engine = engine
        self._machine_group = machine_group

    async def report(self, change: BreakerChange) -> int:
        """Writes a transition and notifies the others; gives its number."""
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
