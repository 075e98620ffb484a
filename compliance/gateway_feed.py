"""Follows a feed of the gateway's from where it was left, whichever process that was.

The place is kept in a table of one row. A gateway that was restored from a backup says where its
feed goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
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
        rounds = rounds_of(self._watch(cursor), self._apply_each, self._notifier)
        try:
            async with aclosing(rounds):
                async for worked in rounds:
                    yield worked
        except grpc.aio.AioRpcError as error:
            # The gateway was restored from a backup, and says where its feed goes on.
            epoch, sequence = place_to_go_back_to(error)
            log.warning("feed_goes_back", feed=self._name, epoch=epoch, sequence=sequence)
            async with self._engine.begin() as connection:
                await connection.execute(update(self._place).values(epoch=epoch, sequence=sequence))
            # This session is over; the next one is not to wait for news.
            self._notifier.notify()

    async def _apply_each(self, responses: Sequence[Any]) -> None:
        for response in responses:
            handled = await self._apply(response)
            async with self._engine.begin() as connection:
                await self._advance(connection, handled)

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


async def rounds_of(
    feed: Any,
    handle: Callable[[Sequence[Any]], Awaitable[None]],
    notifier: Notifier,
    *,
    max_batch: int = 1,
    gather_seconds: float = 0.0,
) -> Rounds:
    """Has handled what a call tells: at most `max_batch` of what comes within `gather_seconds`
    together. Yields True after each batch, and False while there is nothing; `notifier` tells when
    there is again. Ends with what the call ends with, and cancels it.
    """
    read: asyncio.Task[Any] | None = None

    def read_on() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(feed.read())
        task.add_done_callback(lambda _: notifier.notify())
        return task

    try:
        while True:  # Until the feed ends or the loop closes it.
            read = read or read_on()
            # A feed that fails at once has not gone well before: it is asked for less and less.
            await asyncio.wait({read}, timeout=FAILS_WITHIN_SECONDS)
            while not read.done():
                yield False
            batch: list[Any] = []
            until = asyncio.get_running_loop().time() + gather_seconds
            while read is not None and read.done():
                response = read.result()
                if response is grpc.aio.EOF:
                    raise ConnectionError("the gateway has ended the feed")
                batch.append(response)
                read = read_on() if len(batch) < max_batch else None
                left = until - asyncio.get_running_loop().time()
                if read is not None and left > 0:
                    await asyncio.wait({read}, timeout=left)
            await handle(batch)
            yield True
    finally:
        feed.cancel()
        if read is not None:
            read.cancel()


def place_to_go_back_to(error: grpc.aio.AioRpcError) -> tuple[int, int]:
    """Where the feed of a gateway that was restored from a backup goes on: epoch and sequence.
    Raises the error itself if it says anything else."""
    received = from_rpc_error(error)
    if received.reason != CURSOR_OUTDATED:
        raise error
    return int(received.metadata["epoch"]), int(received.metadata["after_sequence"])
