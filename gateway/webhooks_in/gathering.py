"""Group commit: calls that come while one write is under way share the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathering(Generic[Item, Result]):
    """Turns concurrent calls for one item each into few writes of many items.

    A call that comes alone is written at once, so nobody waits for company. An error of a write
    is the error of all calls in it. Calls are bounded by who calls: each waits for its result.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        max_items: int,
        max_writes: int = 1,
    ) -> None:
        """`write` answers each item's result, in order; at most `max_writes` run at a time."""
        self._write = write
        self._max_items = max_items
        self._max_writes = max_writes
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._writers: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """Returns or raises what the write that the item was in has come to."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if len(self._writers) < self._max_writes:
            self._writers.add(asyncio.create_task(self._work()))
        return await done

    async def close(self) -> None:
        """Waits until nothing is being written."""
        while self._writers:
            await asyncio.wait(self._writers)

    async def _work(self) -> None:
        writer = asyncio.current_task()
        assert writer is not None, "it was made as a task"
        try:
            while self._waiting:
                count = min(self._max_items, len(self._waiting))
                await self._write_together([self._waiting.popleft() for _ in range(count)])
        finally:
            # In the same step in which nothing was left, so that who comes next starts another.
            self._writers.discard(writer)

    async def _write_together(self, taken: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in taken])
        except Exception as error:  # noqa: BLE001 (each caller gets it)
            for _, done in taken:
                if not done.done():
                    done.set_exception(error)
        except BaseException:
            for _, done in taken:
                done.cancel()
            raise
        else:
            for (_, done), result in zip(taken, results, strict=True):
                # Who was cancelled meanwhile does not want to know.
                if not done.done():
                    done.set_result(result)
