"""Reports in the database. Migration 0035_reports makes the table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.reports.report import ReportKind, ReportState, Wanted

REPORT = Table(
    "report",
    MetaData(),
    Column("report_number", BigInteger, Identity(always=True)),
    Column("report_id", Text, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("stripe_type", Text, nullable=False),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failure", Text, nullable=False),
    Column("stripe_run_id", Text, nullable=False),
    Column("stripe_file_id", Text, nullable=False),
    Column("next_look_time", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("ready_time", DateTime(timezone=True)),
)


class ReportStore:
    """What is read of reports."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(
        self,
        *,
        corridor: str,
        kind: ReportKind | None,
        only_ready: bool,
        start_from: datetime | None,
        after: int,
        limit: int,
    ) -> Sequence[Row[Any]]:
        """In the order in which they were wanted."""
        statement = (
            select(REPORT)
            .where(REPORT.c.report_number > after)
            .order_by(REPORT.c.report_number)
            .limit(limit)
        )
        if corridor:
            statement = statement.where(REPORT.c.corridor == corridor)
        if kind is not None:
            statement = statement.where(REPORT.c.kind == kind.value)
        if only_ready:
            statement = statement.where(REPORT.c.state == ReportState.READY.value)
        if start_from is not None:
            statement = statement.where(REPORT.c.start_time >= start_from)
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows

    async def find(self, report_id: str) -> Row[Any] | None:
        """A report."""
        statement = select(REPORT).where(REPORT.c.report_id == report_id)
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).first()


async def last_end(connection: AsyncConnection, corridor: str, kind: ReportKind) -> datetime | None:
    """The end of the newest day of which there is a report."""
    statement = select(func.max(REPORT.c.end_time)).where(
        REPORT.c.corridor == corridor, REPORT.c.kind == kind.value
    )
    found: datetime | None = (await connection.execute(statement)).scalar_one()
    return found


async def want(connection: AsyncConnection, wanted: Sequence[Wanted], now: datetime) -> None:
    """Writes down reports, but for those that are there."""
    if not wanted:
        return
    rows = [
        {
            "report_id": each.id,
            "corridor": each.corridor,
            "kind": each.kind.value,
            "stripe_type": each.stripe_type,
            "start_time": each.start,
            "end_time": each.end,
            "state": ReportState.WANTED.value,
            "attempt": 1,
            "failure": "",
            "stripe_run_id": "",
            "stripe_file_id": "",
            "next_look_time": now,
            "create_time": now,
        }
        for each in wanted
    ]
    await connection.execute(insert(REPORT).values(rows).on_conflict_do_nothing())


async def due(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Those that are to be asked for or looked at, the longest due first."""
    statement = (
        select(REPORT)
        .where(REPORT.c.next_look_time <= now)
        .order_by(REPORT.c.next_look_time, REPORT.c.report_number)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def by_run(connection: AsyncConnection, corridor: str, run_id: str) -> Row[Any] | None:
    """The report that a run of Stripe's is for."""
    statement = select(REPORT).where(
        REPORT.c.corridor == corridor, REPORT.c.stripe_run_id == run_id
    )
    return (await connection.execute(statement)).first()


async def write(connection: AsyncConnection, report: Row[Any], **values: object) -> bool:
    """Changes a report if nobody has changed it since it was read; whether that was so."""
    statement = (
        update(REPORT)
        .where(
            REPORT.c.report_id == report.report_id,
            REPORT.c.state == report.state,
            REPORT.c.attempt == report.attempt,
        )
        .values(**values)
    )
    return (await connection.execute(statement)).rowcount == 1
