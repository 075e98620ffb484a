"""Commands that wait for their ledger's committer: bounded, in order, answered one by one."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ledger.commands import Command, Outcome
from ledger.limits import LIMITS, Limits
from runtime.batching import Gathering

# What one commit takes at most, unless a single batch is larger by itself.
MAX_ITEMS_PER_COMMIT = 2_000


class FullError(Exception):
    """There is no room for another command."""


class Waiting(NamedTuple):
    """A command in the queue and whom to answer."""

    command: Command
    outcome: "asyncio.Future[Outcome]"


class CommandQueue:
    """What one committer has to do next."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._waiting: deque[Waiting] = deque()
        self._items = 0
        self._bytes = 0
        self._gathering = Gathering(MAX_ITEMS_PER_COMMIT)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, command: Command) -> "asyncio.Future[Outcome]":
        """Where the command's outcome will be. Raises `FullError`; an empty queue takes any."""
        weight, size = command.weight, len(command.body)
        is_full = (
            self._items + weight > self._limits.queued_items
            or self._bytes + size > self._limits.queued_bytes
        )
        if is_full and self._waiting:
            raise FullError
        waiting = Waiting(command, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._items += weight
        self._bytes += size
        is_full = self._items >= MAX_ITEMS_PER_COMMIT
        self._gathering.came(len(self._waiting), is_full=is_full)
        return waiting.outcome

    def put_back(self, postponed: Sequence[Waiting]) -> None:
        """Lets those who were taken wait on, in front of all others."""
        self._waiting.extendleft(reversed(postponed))
        for waiting in postponed:
            self._items += waiting.command.weight
            self._bytes += len(waiting.command.body)

    async def gather(self) -> None:
        """Waits a moment until most of the callers there seem to be are in the queue."""
        await self._gathering.wait(self._waiting)

    def take(self) -> tuple[list[Waiting], int]:
        """The next batch and its weight: as much as is there, up to a bound.

        Those who have left, because their call ended, are dropped.
        """
        taken: list[Waiting] = []
        items = 0
        while self._waiting:
            weight = self._waiting[0].command.weight
            if taken and items + weight > MAX_ITEMS_PER_COMMIT:
                break
            waiting = self._waiting.popleft()
            self._items -= weight
            self._bytes -= len(waiting.command.body)
            if not waiting.outcome.done():
                taken.append(waiting)
                items += weight
        self._gathering.took(len(taken))
        return taken, items


def answer_all(batch: Iterable[Waiting], error: Exception) -> None:
    """Fails all who still wait."""
    for waiting in batch:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
