"""What operators allow on each corridor, in PostgreSQL. Append-only: the last change counts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.rails.call import RailMode

MODE_CHANGE = Table(
    "rail_mode_change",
    MetaData(),
    Column("change_number", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("change_time", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class ModeChange:
    """One decision of an operator."""

    corridor: str
    mode: RailMode
    reason: str
    request_id: str
    change_time: datetime


class RailStore:
    """The table rail_mode_change."""

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

    async def add(self, change: ModeChange) -> ModeChange:
        """Writes a change, once per request_id; gives the one that stands under that id."""
        statement = (
            insert_or_ignore(MODE_CHANGE)
            .values(
                corridor=change.corridor,
                mode=change.mode.value,
                reason=change.reason,
                request_id=change.request_id,
                change_time=change.change_time,
            )
            .on_conflict_do_nothing(index_elements=["request_id"])
        )
        written = select(MODE_CHANGE).where(MODE_CHANGE.c.request_id == change.request_id)
        async with self._engine.begin() as connection:
            # Changes get their numbers one after the other, so that the last one is the last.
            await connection.execute(
                select(func.pg_advisory_xact_lock(func.hashtext("rail_mode_change")))
            )
            await connection.execute(statement)
            return _change_of((await connection.execute(written)).one())


def _change_of(row: Any) -> ModeChange:
    return ModeChange(
        corridor=row.corridor,
        mode=RailMode(row.mode),
        reason=row.reason,
        request_id=row.request_id,
        change_time=row.change_time,
    )
