"""Follows a feed of the gateway's from where it was left, whichever process that was.

The place is kept in a table of one row. A gateway that was restored from a backup says where its
feed goes on.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from sqlalchemy import Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runtime.feeds import place_after_restore, rounds_of
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier

# How long the loop rests at most while the feed has no news: it is woken by them.
POLL_SECONDS = 30.0

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


def place_to_go_back_to(error: grpc.aio.AioRpcError) -> tuple[int, int]:
    """Where the feed of a gateway that was restored from a backup goes on: epoch and sequence.
    Raises the error itself if it says anything else."""
    place = place_after_restore(error)
    return int(place["epoch"]), int(place["after_sequence"])
