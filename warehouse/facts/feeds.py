"""Follows feeds of changes: every message once, its rows and its place in one transaction.

A feed is asked for the last message that is here once more. So it has said something before its
silence counts as having nothing new, and a service that was restored and has gone on since is told
apart: it has another message there, or none.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import grpc

from runtime.command_failures import CommandError, of_call
from runtime.feeds import place_after_restore, rounds_of
from runtime.notifier import Notifier
from warehouse.facts.rows import BEGINNING, Batch, Place, Position
from warehouse.facts.sink import FactSink
from warehouse.sink import LoadRefusedError


@dataclass(frozen=True)
class FeedLimits:
    """How a feed is read."""

    # Messages that are written together, and how long they are waited for.
    batch_messages: int = 500
    gather_seconds: float = 0.2
    # A feed that has nothing new is silent; so long after its last message it has been read.
    quiet_seconds: float = 2.0
    # So long it may take to tell the last message once more, before it counts as lost.
    known_seconds: float = 30.0


LIMITS = FeedLimits()


class Feed(Protocol):
    """One feed of a service."""

    source: str
    address: str
    # Whether what it says with CURSOR_OUTDATED leaves nothing out. Another one is read from its
    # beginning once it has another past than what is here.
    has_epochs: bool

    def watch(self, after: Place) -> Any:
        """The messages after a place, as a call to read from."""

    def place_of(self, message: Any) -> tuple[Place, str]:
        """A message's place, and what is the same in it however often it comes."""

    async def batch_of(self, messages: Sequence[Any]) -> Batch:
        """What is written of some messages."""

    async def batch_of_restore(self, place: Place) -> Batch:
        """What is written when the service was restored and the feed goes on at a place."""

    def place_to_go_back_to(self, told: dict[str, str], /) -> Place:
        """Where a feed goes on that says CURSOR_OUTDATED, by the metadata that it says."""


class FeedRestoredError(Exception):
    """The feed has another message, or says CURSOR_OUTDATED, where the last one was read."""


class SilentFeedError(Exception):
    """The feed has not told the message that was read last."""


@dataclass(frozen=True)
class Read:
    """How far a feed has been read."""

    position: Position
    row_count: int = 0
    # When the oldest row of the last batch was news.
    news_time: datetime | None = None


class FeedReader:
    """One feed and one warehouse."""

    def __init__(
        self, feed: Feed, sink: FactSink, limits: FeedLimits = LIMITS, *, one_by_one: bool = False
    ) -> None:
        """`one_by_one` is for messages that may bring much: each is a transaction."""
        self.feed = feed
        self._sink = sink
        self._limits = limits
        self._batch_messages = 1 if one_by_one else limits.batch_messages
        self.read = Read(Position())

    async def catch_up(self) -> Read:
        """Reads what there is now. Raises `CommandError` when a call fails, `AnotherLoadError` and
        `LoadRefusedError`; what was written before stays."""
        async with aclosing(self.follow()) as rounds:
            async for is_quiet in rounds:
                if is_quiet:
                    break
        return self.read

    async def follow(self) -> Any:
        """Reads on for good. Yields False after each batch, and True when there is nothing more:
        the warehouse then knows that it has all."""
        feed, sink = self.feed, self._sink
        position = await asyncio.to_thread(sink.position, feed.source)
        self.read = Read(position)
        while True:  # Until the caller goes away; once more after each restore.
            try:
                async with aclosing(self._session()) as session:
                    async for is_quiet in session:
                        yield is_quiet
            except FeedRestoredError:
                place = await self._place_after_restore() if feed.has_epochs else BEGINNING
                await self.take(await feed.batch_of_restore(place or BEGINNING))
            except SilentFeedError:
                place = await self._place_after_restore()
                if place is None:
                    text = f"{feed.address} does not tell its last message of {feed.source}"
                    raise CommandError(text, passing=True) from None
                await self.take(await feed.batch_of_restore(place))

    async def _session(self) -> Any:
        """One call of the feed."""
        notifier = Notifier()
        known = self.read.position
        is_known = not known.place.sequence
        opened = asyncio.get_running_loop().time()

        async def handle(messages: Sequence[Any]) -> None:
            nonlocal is_known
            if not is_known:
                place, mark = self.feed.place_of(messages[0])
                if place != known.place or (known.mark and mark != known.mark):
                    raise FeedRestoredError
                is_known, messages = True, messages[1:]
            if new := self._new(messages):
                await self.take(await self.feed.batch_of(new))

        before = Place(known.place.epoch, max(known.place.sequence - 1, 0))
        rounds = rounds_of(
            self.feed.watch(before if before.sequence else BEGINNING),
            handle,
            notifier,
            max_batch=self._batch_messages,
            gather_seconds=self._limits.gather_seconds,
        )
        try:
            async with aclosing(rounds):
                while True:
                    token = notifier.token()
                    if await anext(rounds):
                        yield False
                        continue
                    await Notifier.wait(token, self._limits.quiet_seconds)
                    if token.is_set():
                        continue
                    if is_known:
                        await self._complete()
                        yield True
                    elif asyncio.get_running_loop().time() - opened > self._limits.known_seconds:
                        raise SilentFeedError
        except grpc.aio.AioRpcError as error:
            if is_outdated(error):
                raise FeedRestoredError from None
            raise of_call(error, self.feed.address) from None
        except ConnectionError as error:
            raise CommandError(f"{self.feed.source}: {error}", passing=True) from None

    def _new(self, messages: Sequence[Any]) -> Sequence[Any]:
        """The messages that are not here yet. Raises `LoadRefusedError` if one is left out."""
        last = self.read.position.place.sequence
        new = []
        for message in messages:
            place, _ = self.feed.place_of(message)
            if place.sequence > last + 1:
                raise LoadRefusedError(f"change {place.sequence} was told after change {last}")
            # A feed tells everything at least once.
            if place.sequence == last + 1:
                new.append(message)
                last = place.sequence
        return new

    async def take(self, batch: Batch) -> None:
        """Writes a batch: of the feed's messages, or of what was asked while it is quiet."""
        position, count = await asyncio.to_thread(
            self._sink.take, self.feed.source, self.read.position, batch
        )
        self.read = Read(position, self.read.row_count + count, batch.news_time)

    async def _complete(self) -> None:
        now = self._sink.clock.now()
        await asyncio.to_thread(self._sink.complete, self.feed.source, now)

    async def _place_after_restore(self) -> Place | None:
        """Asks where the feed goes on; None if it goes on where it was left."""
        call = self.feed.watch(self.read.position.place)
        try:
            async with asyncio.timeout(self._limits.known_seconds):
                await call.read()
        except TimeoutError:
            return None
        except grpc.aio.AioRpcError as error:
            if not is_outdated(error):
                raise of_call(error, self.feed.address) from None
            return self.feed.place_to_go_back_to(dict(place_after_restore(error)))
        finally:
            call.cancel()
        return None


def is_outdated(error: grpc.aio.AioRpcError) -> bool:
    """Whether the service says that it was restored."""
    try:
        place_after_restore(error)
    except grpc.aio.AioRpcError:
        return False
    return True
