"""Feeds whose changes are numbered after the commit of what changed, and never inside it (ADR 8 and
48): a row has changed where it differs from what was told of it last, so that nobody has to say so.

What a release before writes is numbered, too, and what was there before the feed was.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, Table, TextClause, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import Cursor, Epochs, FeedName, check_cursor, epochs
from gateway.operations.gate import Gate
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.notifier import Notifier

# Rows that one transaction numbers.
NUMBER_BATCH = 500
# What is told comes from sweeps and events: nobody waits for less.
POLL_SECONDS = 0.5
WATCH_BATCH = 500
# So long a stream may go without looking, should a notification get lost.
WATCH_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedFeed:
    """A feed that is numbered so: `statement` writes at most `:limit` changes, as of `:now`."""

    name: str
    epochs: FeedName
    lock: int
    """Who numbers holds it, and who begins an epoch."""
    channel: str
    """Notified with new changes."""
    statement: TextClause
    parameters: Mapping[str, Any] = field(default_factory=dict)
    changes: Table
    """Where changes are, by their `sequence`."""
    shown: Select[Any]
    """All changes as they are told."""


class ChangeReader:
    """Reads the changes of a feed."""

    def __init__(self, engine: AsyncEngine, feed: NumberedFeed) -> None:
        self._engine = engine
        self._feed = feed

    async def after(self, sequence: int, limit: int) -> Sequence[Row[Any]]:
        """The next changes after a sequence, in its order."""
        place = self._feed.changes.c.sequence
        statement = self._feed.shown.where(place > sequence).order_by(place).limit(limit)
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows

    async def epochs(self) -> Epochs:
        """The epochs of the changes' sequences, and the last sequence."""
        newest = select(func.coalesce(func.max(self._feed.changes.c.sequence), 0))
        async with self._engine.connect() as connection:
            last: int = (await connection.execute(newest)).scalar_one()
            return await epochs(connection, self._feed.epochs, last)


class Numbering:
    """Numbers what has changed; of all processes that try, one does it at a time. None while the
    database is known to have lost something: what follows belongs to another epoch."""

    def __init__(self, engine: AsyncEngine, feed: NumberedFeed, gate: Gate, clock: Clock) -> None:
        self._engine = engine
        self._feed = feed
        self._gate = gate
        self._clock = clock

    def loop(self) -> Loop:
        """Numbers as long as there is something."""
        return Loop(f"{self._feed.name} numbering", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Numbers what is new; True if there may be more at once."""
        if self._gate.closed:
            return False
        async with self._engine.begin() as connection:
            numbered = await number_changes(connection, self._feed, self._clock.now())
            return numbered == NUMBER_BATCH


async def number_changes(connection: AsyncConnection, feed: NumberedFeed, now: datetime) -> int:
    """Writes what has changed under the next sequences; how many. 0 too if another process is at
    it."""
    lock = select(func.pg_try_advisory_xact_lock(feed.lock))
    if not (await connection.execute(lock)).scalar_one():
        return 0
    parameters = {"limit": NUMBER_BATCH, "now": now, **feed.parameters}
    numbered = (await connection.execute(feed.statement, parameters)).rowcount
    if numbered:
        await connection.execute(select(func.pg_notify(feed.channel, "")))
    return numbered


async def watch(
    reader: ChangeReader, notifier: Notifier, cursor: Cursor
) -> AsyncIterator[tuple[Row[Any], int]]:
    """The changes after a cursor, each with its epoch, without an end. Raises CURSOR_OUTDATED."""
    sequence = cursor.sequence
    if sequence:
        check_cursor(await reader.epochs(), cursor)
    while True:
        token = notifier.token()
        found = await reader.after(sequence, WATCH_BATCH)
        # Read after the changes, which keep the epoch that they have by then.
        known = await reader.epochs() if found else None
        for row in found:
            assert known is not None, "there are changes"
            sequence = row.sequence
            yield row, known.of(sequence)
        if len(found) < WATCH_BATCH:
            await Notifier.wait(token, WATCH_POLL_SECONDS)
