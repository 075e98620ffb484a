"""Takes items from a source: a batch and the cursor after it are one transaction."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import grpc
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.items.contact import KEPT_EVERY, keep_contact
from reconciliation.items.rows import document_of
from reconciliation.items.source import Batch, ItemSource
from reconciliation.matching.item import ItemError
from runtime.clock import Clock
from runtime.feeds import place_after_restore, rounds_of
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier
from runtime.sql_files import read_sql

TAKEN = Counter("reconciliation_items_total", "Items and revisions taken.", ["source"])
# How long the loop rests at most while the feed has no news: it is woken by them.
POLL_SECONDS = 30.0
# What comes within so long is taken together.
GATHER_SECONDS = 0.1

log = get_logger(__name__)

# One intake at a time: the order of ordinals is that of commits.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation.intake', 0))"
_CURSOR = """
    SELECT cursor FROM intake WHERE source_name = %(name)s ORDER BY intake_number DESC LIMIT 1
"""
_BEGIN = """
    INSERT INTO intake (source_name, cursor, items, record_time)
    VALUES (%(name)s, %(cursor)s, %(items)s, %(now)s) RETURNING intake_number
"""
_CONFLICTS = read_sql(__file__, "item_conflicts")
_WRITE = read_sql(__file__, "write_items")


class Intake:
    """Takes what one source gives, and notifies whoever matches."""

    def __init__(
        self, engine: AsyncEngine, source: ItemSource, notifier: Notifier, clock: Clock
    ) -> None:
        self._engine = engine
        self._source = source
        self._notifier = notifier
        self._clock = clock
        self._news = Notifier()
        self._contact: datetime | None = None

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after the other service was away."""
        return Loop(
            f"intake of {self._source.name}",
            session=self._follow,
            poll_seconds=POLL_SECONDS,
            notifier=self._news,
            expected=(grpc.aio.AioRpcError,),
        )

    async def _follow(self) -> Rounds:
        async with self._engine.connect() as connection:
            cursor = await cursor_of(connection, self._source.name)
        rounds = rounds_of(
            self._source.watch(cursor),
            self._take,
            self._news,
            max_batch=self._source.messages_per_batch,
            gather_seconds=GATHER_SECONDS,
        )
        try:
            async with aclosing(rounds):
                async for worked in rounds:
                    await self._keep_contact()
                    yield worked
        except grpc.aio.AioRpcError as error:
            # What the restored service still has are the same items.
            cursor = self._source.cursor_after_restore(place_after_restore(error))
            log.warning("feed_goes_back", feed=self._source.name, cursor=cursor)
            await self.take(Batch((), cursor))
            # This session is over; the next one is not to wait for news.
            self._news.notify()

    async def _keep_contact(self) -> None:
        """The feed is open: it has told something, or nothing without having failed."""
        now = self._clock.now()
        if self._contact is not None and now - self._contact < KEPT_EVERY:
            return
        async with self._engine.begin() as connection:
            await keep_contact(connection, self._source.name, now)
        self._contact = now

    async def _take(self, told: Sequence[Any]) -> None:
        await self.take(self._source.batch_of(told))

    async def take(self, batch: Batch) -> None:
        """Takes one batch, all of it or nothing. Raises `ItemError` if the source contradicts
        itself."""
        async with self._engine.begin() as connection:
            await take(connection, self._source.name, batch, self._clock)
        TAKEN.labels(self._source.name).inc(len(batch.items))
        self._notifier.notify()


async def cursor_of(connection: AsyncConnection, name: str) -> str:
    """Where a source goes on; empty at the beginning."""
    rows = await connection.exec_driver_sql(_CURSOR, {"name": name})
    return str(rows.scalar_one_or_none() or "")


async def take(connection: AsyncConnection, name: str, batch: Batch, clock: Clock) -> None:
    """Writes a batch and its cursor. What is there already is left as it is; raises `ItemError`
    for what contradicts it."""
    document = document_of(name, batch.items)
    await take_document(connection, name, document, len(batch.items), batch.cursor, clock)


async def take_document(
    connection: AsyncConnection, name: str, document: str, items: int, cursor: str, clock: Clock
) -> None:
    """The same of items that are written out already (`document_of`)."""
    await connection.exec_driver_sql(_LOCK)
    values: dict[str, Any] = {"items": document}
    conflict = (await connection.exec_driver_sql(_CONFLICTS, values)).first()
    if conflict is not None:
        raise ItemError(f"{conflict.source} {conflict.key} differs from what came of it before")
    number = await connection.exec_driver_sql(
        _BEGIN, {"name": name, "cursor": cursor, "items": items, "now": clock.now()}
    )
    await connection.exec_driver_sql(_WRITE, {**values, "intake_number": number.scalar_one()})
