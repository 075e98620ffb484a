"""Follows a feed of the gateway's from where it was left, whichever process that was.

The place is kept in a table of one row. A gateway that was restored from a backup says where its
feed goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from sqlalchemy import Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runtime.errors import from_rpc_error
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier

# How long the loop rests at most while the feed has no news: it is woken by them.
POLL_SECONDS = 30.0
FAILS_WITHIN_SECONDS = 1.0
CURSOR_OUTDATED = "CURSOR_OUTDATED"

log = get_logger(__name__)


@dataclass(frozen=True)
class Cursor:
    """A place in the feed; sequences of a higher epoch come after those of a lower one."""

    epoch: int
    sequence: int


# The feed after a place, as a call to read from; and what is done with one of its messages, which
# says the message's place.
Watch = Callable[[Cursor], Any]
Apply = Callable[[Any], Awaitable[Cursor]]


class GatewayFeed:
    """One feed, and who takes its messages in."""

    def __init__(
        self, name: str, engine: AsyncEngine, place: Table, watch: Watch, apply: Apply
    ) -> None:
        """`place` is the table of the place; `name` is the loop's."""
        self._name = name
        self._engine = engine
        self._place = place
        self._watch = watch
        self._apply = apply
        self._notifier = Notifier()

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after the gateway was away."""
        return Loop(
            self._name,
            session=self._follow,
            poll_seconds=POLL_SECONDS,
            notifier=self._notifier,
            expected=(grpc.aio.AioRpcError,),
        )

    async def _follow(self) -> Rounds:
        async with self._engine.connect() as connection:
            cursor = await self._read(connection)
        feed = self._watch(cursor)
        read: asyncio.Task[Any] | None = None
        try:
            while True:  # Until the feed ends or the loop closes it.
                read = asyncio.ensure_future(feed.read())
                read.add_done_callback(lambda _: self._notifier.notify())
                # A feed that fails at once has not gone well before: it is asked for less and less.
                await asyncio.wait({read}, timeout=FAILS_WITHIN_SECONDS)
                while not read.done():
                    yield False
                response = read.result()
                if response is grpc.aio.EOF:
                    raise ConnectionError("the gateway has ended the feed")
                handled = await self._apply(response)
                async with self._engine.begin() as connection:
                    await self._advance(connection, handled)
                yield True
        except grpc.aio.AioRpcError as error:
            received = from_rpc_error(error)
            if received.reason != CURSOR_OUTDATED:
                raise
            # The gateway was restored from a backup, and says where its feed goes on.
            epoch, sequence = (int(received.metadata[name]) for name in ("epoch", "after_sequence"))
            log.warning("feed_goes_back", feed=self._name, epoch=epoch, sequence=sequence)
            async with self._engine.begin() as connection:
                await connection.execute(update(self._place).values(epoch=epoch, sequence=sequence))
            # This session is over; the next one is not to wait for news.
            self._notifier.notify()
        finally:
            feed.cancel()
            if read is not None:
                read.cancel()

    async def _read(self, connection: AsyncConnection) -> Cursor:
        rows = await connection.execute(select(self._place.c.epoch, self._place.c.sequence))
        row = rows.one()
        return Cursor(row.epoch, row.sequence)

    async def _advance(self, connection: AsyncConnection, cursor: Cursor) -> None:
        """Never back: another replica may be further."""
        place = tuple_(self._place.c.epoch, self._place.c.sequence)
        await connection.execute(
            update(self._place)
            .where(place < (cursor.epoch, cursor.sequence))
            .values(epoch=cursor.epoch, sequence=cursor.sequence)
        )
