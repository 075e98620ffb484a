"""Group commit: items of many callers written together, each caller answered for its own.

What comes while one write is under way forms the next, so that writes grow with the load and who
comes alone waits for nobody. The ledger's committer keeps a queue of its own (`ledger.queue`): it
weighs commands by their legs and bytes, and waits a moment for callers that it has just answered.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class FullError(Exception):
    """As many items wait as may."""


class Waiting(NamedTuple, Generic[Item, Result]):
    """An item and whom to answer."""

    item: Item
    result: "asyncio.Future[Result]"


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
    ) -> None:
        """`write` answers each item's result in order, or the failure that is its own; what it
        raises is the failure of all. At most `max_writes` run at a time, never two with the same
        `key`. Without `max_waiting` the callers are the bound: each waits for its result.
        """
        self._write = write
        self._max_items = max_items
        self._max_writes = max_writes
        self._max_waiting = max_waiting
        self._key = key
        self._waiting: deque[Waiting[Item, Result]] = deque()
        self._keys: set[Hashable] = set()
        self._writers: set[asyncio.Task[None]] = set()

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """What the write that the item is in will come to. Raises `FullError`."""
        if self._max_waiting is not None and len(self._waiting) >= self._max_waiting:
            raise FullError
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(item, result))
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
        batch = self._take()
        if not batch:
            return False
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
