"""Commands that wait for their ledger's committer: bounded, in order, answered one by one."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from ledger.commands import Command, Outcome

# Transactions and accounts in the queue of one ledger: some seconds of work.
MAX_QUEUED_ITEMS = 20_000
# Of encoded requests; decoded they take some ten times as much memory.
MAX_QUEUED_BYTES = 32 * 1024 * 1024
# What one commit takes at most, unless a single batch is larger by itself.
MAX_ITEMS_PER_COMMIT = 2_000
# A handler needs this many turns of the loop from a call's arrival to its place in the queue.
QUIET_TURNS = 4
MAX_GATHERING_TURNS = 64


class FullError(Exception):
    """There is no room for another command."""


class Waiting(NamedTuple):
    """A command in the queue and whom to answer."""

    command: Command
    outcome: "asyncio.Future[Outcome]"


class CommandQueue:
    """What one committer has to do next."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._items = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, command: Command) -> "asyncio.Future[Outcome]":
        """Where the command's outcome will be. Raises `FullError`; an empty queue takes any."""
        weight, size = command.weight, len(command.body)
        is_full = self._items + weight > MAX_QUEUED_ITEMS or self._bytes + size > MAX_QUEUED_BYTES
        if is_full and self._waiting:
            raise FullError
        waiting = Waiting(command, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._items += weight
        self._bytes += size
        return waiting.outcome

    async def gather(self) -> None:
        """Lets handlers that are about to submit come along, for as long as there are any.

        That is no wait: turns of the loop in which nothing happens take microseconds.
        """
        quiet = 0
        for _ in range(MAX_GATHERING_TURNS):
            queued = len(self._waiting)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == queued else 0
            if quiet >= QUIET_TURNS or self._items >= MAX_ITEMS_PER_COMMIT:
                return

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
        return taken, items


def answer_all(batch: Iterable[Waiting], error: Exception) -> None:
    """Fails all who still wait."""
    for waiting in batch:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
