"""Runs of scheduled queries, their changes, their files and the walks over Stripe's lists in the
database. Migration 0038_sigma makes the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import SIGMA_NUMBERING_LOCK, FeedName
from gateway.numbering import ChangeReader, NumberedFeed
from gateway.sigma.run import File, FileState, Run, content_of_file, content_of_run, digest_of
from runtime.sql_files import sql_statement

# Listened to by WatchSigmaRuns.
CHANNEL = "gateway_sigma"
PART_BYTES = 1024 * 1024

metadata = MetaData()
RUN = Table(
    "sigma_run",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("file_state", Text, nullable=False),
    Column("stripe_file_id", Text, nullable=False),
    Column("available_until", DateTime(timezone=True), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("next_look_time", DateTime(timezone=True)),
    Column("keep_time", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("told", Text),
    Column("first_sequence", BigInteger),
    Column("sequence", BigInteger),
)
PART = Table(
    "sigma_file_part",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("part_number", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
CHANGE = Table(
    "sigma_change",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)
WALK = Table(
    "sigma_walk",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("after_id", Text, nullable=False),
    Column("begin_time", DateTime(timezone=True)),
    Column("since", DateTime(timezone=True)),
    Column("next_time", DateTime(timezone=True), nullable=False),
    Column("finish_time", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
)
_TOLD: tuple[Any, ...] = (CHANGE.c.corridor, CHANGE.c.content, RUN.c.first_sequence)
FEED = NumberedFeed(
    name="sigma",
    epochs=FeedName.SIGMA,
    lock=SIGMA_NUMBERING_LOCK,
    channel=CHANNEL,
    statement=sql_statement(__file__, "number_changes"),
    changes=CHANGE,
    shown=select(CHANGE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which runs are wanted; what is empty matches all."""

    corridor: str = ""
    title: str = ""
    state: str = ""


class SigmaStore(ChangeReader):
    """What is read of runs and their changes."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, FEED)

    async def page(self, filters: Filters, after: int, limit: int) -> Sequence[Row[Any]]:
        """Those whose first change comes after a sequence, as they were told last."""
        statement = (
            select(*_TOLD)
            .join_from(RUN, CHANGE, CHANGE.c.sequence == RUN.c.sequence)
            .where(RUN.c.first_sequence > after)
            .order_by(RUN.c.first_sequence)
            .limit(limit)
        )
        if filters.corridor:
            statement = statement.where(RUN.c.corridor == filters.corridor)
        if filters.title:
            statement = statement.where(RUN.c.title == filters.title)
        if filters.state:
            statement = statement.where(RUN.c.state == filters.state)
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows

    async def find(self, corridor: str, run_id: str) -> Row[Any] | None:
        """A run as it was told last; None before it was."""
        statement = (
            select(*_TOLD)
            .join_from(RUN, CHANGE, CHANGE.c.sequence == RUN.c.sequence)
            .where(RUN.c.corridor == corridor, RUN.c.id == run_id)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).first()

    async def part(self, corridor: str, run_id: str, part_number: int) -> bytes | None:
        """A piece of a file, from 1; None if there is none of that number."""
        statement = select(PART.c.content).where(
            PART.c.corridor == corridor, PART.c.id == run_id, PART.c.part_number == part_number
        )
        async with self._engine.connect() as connection:
            content: bytes | None = (await connection.execute(statement)).scalar_one_or_none()
        return None if content is None else bytes(content)


async def add(
    connection: AsyncConnection, corridor: str, runs: Sequence[Run], now: datetime
) -> Sequence[str]:
    """Writes down runs, but for those that are there; the ids of those that were not."""
    if not runs:
        return []
    rows = []
    # In one order, so that two who write the same wait for each other and never both.
    for run in sorted(runs, key=lambda run: run.id):
        file = run.file(now)
        content = content_of_run(run, file)
        rows.append(
            {
                "corridor": corridor,
                "id": run.id,
                "title": run.title,
                "state": run.state.value,
                "content": content,
                "digest": digest_of(content),
                "file_state": file.state.value,
                "stripe_file_id": file.stripe_file_id,
                "available_until": run.available_until,
                "attempt": 1,
                "next_look_time": now if file.state is FileState.WANTED else None,
                "create_time": now,
            }
        )
    statement = insert(RUN).values(rows).on_conflict_do_nothing().returning(RUN.c.id)
    new: Sequence[str] = (await connection.execute(statement)).scalars().all()
    return new


async def due(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Runs whose files are to be fetched, the longest due first."""
    statement = (
        select(RUN)
        .where(RUN.c.next_look_time <= now)
        .order_by(RUN.c.next_look_time, RUN.c.id, RUN.c.corridor)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def oldest_wanted(connection: AsyncConnection) -> datetime | None:
    """Since when the file that has been wanted longest is known; None if none is wanted."""
    statement = select(func.min(RUN.c.create_time)).where(RUN.c.next_look_time.is_not(None))
    found: datetime | None = (await connection.execute(statement)).scalar_one()
    return found


async def kept_before(
    connection: AsyncConnection, time: datetime, limit: int
) -> Sequence[Row[Any]]:
    """Runs whose files were fetched before a time, the oldest first."""
    statement = (
        select(RUN)
        .where(RUN.c.keep_time < time)
        .order_by(RUN.c.keep_time, RUN.c.id, RUN.c.corridor)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def write(connection: AsyncConnection, run: Row[Any], file: File, **values: object) -> bool:
    """Writes what became of a file if nobody has since the run was read; whether that was so."""
    content = {**run.content, "file": content_of_file(file)}
    statement = (
        update(RUN)
        .where(
            RUN.c.corridor == run.corridor,
            RUN.c.id == run.id,
            RUN.c.file_state == run.file_state,
            RUN.c.attempt == run.attempt,
        )
        .values(
            content=content,
            digest=digest_of(content),
            file_state=file.state.value,
            keep_time=file.keep_time if file.state is FileState.KEPT else None,
            **values,
        )
    )
    return (await connection.execute(statement)).rowcount == 1


async def add_parts(connection: AsyncConnection, run: Row[Any], file: IO[bytes]) -> None:
    """Keeps the bytes of a file, a piece at a time."""
    for number, content in enumerate(_pieces(file), 1):
        part = {"corridor": run.corridor, "id": run.id, "part_number": number, "content": content}
        await connection.execute(insert(PART), [part])


async def delete_parts(connection: AsyncConnection, run: Row[Any]) -> None:
    """Deletes the bytes of a file."""
    statement = delete(PART).where(PART.c.corridor == run.corridor, PART.c.id == run.id)
    await connection.execute(statement)


async def due_walk(
    connection: AsyncConnection, corridors: Sequence[str], now: datetime
) -> Row[Any] | None:
    """The walk that is due longest; those of new corridors are made, due at once."""
    wanted = [
        {"corridor": corridor, "after_id": "", "next_time": now, "create_time": now}
        for corridor in corridors
    ]
    await connection.execute(insert(WALK).on_conflict_do_nothing(), wanted)
    statement = (
        select(WALK)
        .where(WALK.c.corridor.in_(corridors), WALK.c.next_time <= now)
        .order_by(WALK.c.next_time, WALK.c.corridor)
        .limit(1)
    )
    return (await connection.execute(statement)).first()


async def walks(connection: AsyncConnection, corridors: Sequence[str]) -> Sequence[Row[Any]]:
    """All walks of these corridors."""
    statement = select(WALK).where(WALK.c.corridor.in_(corridors))
    return (await connection.execute(statement)).all()


async def write_walk(connection: AsyncConnection, walk: Row[Any], **values: object) -> None:
    """Writes how far a walk is."""
    statement = update(WALK).where(WALK.c.corridor == walk.corridor).values(**values)
    await connection.execute(statement)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PART_BYTES):
        yield piece
