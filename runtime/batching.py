"""Group commit: items of many callers written together, each caller answered for its own.

What comes while one write is under way forms the next, so that writes grow with the load and who
comes alone waits for nobody. The ledger's committer keeps a queue of its own (`ledger.queue`): it
weighs commands by their legs and bytes.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence, Sized
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

# A write may wait for callers who were just answered and are likely to come again: so many times so
# long, and no longer than somebody comes each time.
MAX_GATHERING_STEPS = 4
GATHERING_STEP_SECONDS = 0.001
# Of the callers just answered and those waiting. With half of them the ledger's commits stayed at
# ten transactions of 64 callers, with nine tenths they reach thirty: docs/adr/0014-ledger-speed.md.
GATHERED_SHARE = 0.9

Item = TypeVar("Item")
Result = TypeVar("Result")


class FullError(Exception):
    """As many items wait as may."""


class Waiting(NamedTuple, Generic[Item, Result]):
    """An item and whom to answer."""

    item: Item
    result: "asyncio.Future[Result]"


class Gathering:
    """Waits a moment until most of the callers there seem to be have come.

    Much of what a write costs it costs for one item as for thirty, and who was just answered often
    has another. A lone caller, or one of two in turn, never waits. PostgreSQL's `commit_delay` with
    `commit_siblings` is the same idea.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._taken_last = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    def came(self, waiting: int, *, is_full: bool = False) -> None:
        """Somebody has come, and so many wait; a write that `is_full` is not waited for."""
        if self._wanted and (is_full or waiting >= self._wanted):
            self._enough.set()

    def took(self, count: int) -> None:
        """So many are written next."""
        self._taken_last = count

    async def wait(self, waiting: Sized) -> None:
        """Waits for those who were taken last, in so far as they come soon."""
        # One turn of the loop: handlers that are ready submit too.
        await asyncio.sleep(0)
        callers = self._taken_last + len(waiting)
        wanted = min(int(callers * GATHERED_SHARE), self._max_items)
        if len(waiting) >= wanted:
            return
        self._wanted = wanted
        self._enough.clear()
        for _ in range(MAX_GATHERING_STEPS):
            before = len(waiting)
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHERING_STEP_SECONDS):
                    await self._enough.wait()
            if self._enough.is_set() or len(waiting) == before:
                break
        self._wanted = 0


class Batcher(Generic[Item, Result]):
    """Turns single items into few writes of many.

    An item whose caller has left is dropped before its write begins; once that has begun it goes
    on, whoever leaves. A write belongs to no single caller, nor does a caller's deadline end it.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_items: int,
        max_writes: int = 1,
        max_waiting: int | None = None,
        key: Callable[[Item], Hashable] | None = None,
        gathers: bool = False,
    ) -> None:
        """`write` answers each item's result in order, or the failure that is its own; what it
        raises is the failure of all. At most `max_writes` run at a time, never two with the same
        `key`. Without `max_waiting` the callers are the bound: each waits for its result. With
        `gathers` a write waits a moment for callers who were just answered (`Gathering`).
        """
        assert not gathers or max_writes == 1, "who is written by another is not waited for"
        self._write = write
        self._max_items = max_items
        self._max_writes = max_writes
        self._max_waiting = max_waiting
        self._key = key
        self._gathering = Gathering(max_items) if gathers else None
        self._waiting: deque[Waiting[Item, Result]] = deque()
        self._keys: set[Hashable] = set()
        self._writers: set[asyncio.Task[None]] = set()

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """What the write that the item is in will come to. Raises `FullError`."""
        if self._max_waiting is not None and len(self._waiting) >= self._max_waiting:
            raise FullError
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(item, result))
        if self._gathering is not None:
            self._gathering.came(len(self._waiting))
        self._start()
        return result

    async def close(self) -> None:
        """Waits until nothing is being written."""
        while self._writers:
            await asyncio.wait(self._writers)

    def _start(self) -> None:
        if len(self._writers) < self._max_writes:
            writer = asyncio.create_task(self._work(), context=contextvars.Context())
            self._writers.add(writer)

    async def _work(self) -> None:
        writer = asyncio.current_task()
        assert writer is not None, "it was made as a task"
        try:
            while await self._write_next():
                pass
        finally:
            # In the same step in which nothing was left, so that who comes next starts another.
            self._writers.discard(writer)

    async def _write_next(self) -> bool:
        """Writes what waits, up to `max_items`; whether more does."""
        if self._gathering is not None:
            await self._gathering.wait(self._waiting)
        batch = self._take()
        if not batch:
            return False
        if self._gathering is not None:
            self._gathering.took(len(batch))
        try:
            results = await self._write([waiting.item for waiting in batch])
            assert len(results) == len(batch), "each item has its result"
        except Exception as error:  # noqa: BLE001 (each caller has got it)
            for waiting in batch:
                if not waiting.result.done():
                    waiting.result.set_exception(error)
        except BaseException:
            for waiting in batch:
                waiting.result.cancel()
            raise
        else:
            for waiting, result in zip(batch, results, strict=True):
                if waiting.result.done():
                    # Its caller has left meanwhile.
                    continue
                if isinstance(result, Exception):
                    waiting.result.set_exception(result)
                else:
                    waiting.result.set_result(result)
        finally:
            if self._key is not None:
                self._keys.difference_update(self._key(waiting.item) for waiting in batch)
        return bool(self._waiting)

    def _take(self) -> list[Waiting[Item, Result]]:
        """The next batch, in order; an item whose key is being written waits for that."""
        batch: list[Waiting[Item, Result]] = []
        left: list[Waiting[Item, Result]] = []
        while self._waiting and len(batch) < self._max_items:
            waiting = self._waiting.popleft()
            if waiting.result.done():
                continue
            if self._key is not None:
                key = self._key(waiting.item)
                if key in self._keys:
                    left.append(waiting)
                    continue
                self._keys.add(key)
            batch.append(waiting)
        self._waiting.extendleft(reversed(left))
        return batch
