"""Stopping tasks for certain, and letting some go on.

`asyncio.wait_for` before Python 3.12 loses a cancellation that comes in the moment its awaitable
is done (https://github.com/python/cpython/issues/86296), and psycopg waits with it. A task that is
cancelled once may therefore go on, and who awaits it would wait for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from runtime.logs import get_logger, place_of

CANCEL_AGAIN_SECONDS = 0.5

Result = TypeVar("Result")

log = get_logger(__name__)
# The event loop itself keeps no task alive.
_left: set[asyncio.Task[Any]] = set()


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancels the tasks until each has ended. How they ended is not looked at."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


class Unfinished:
    """One piece of work at a time that goes on when who waits for it is cancelled."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Does the work; raises what it raises. Who is cancelled leaves at once."""
        task = self._task = asyncio.create_task(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            _leave(task)
            raise

    async def then(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does this: now, or, without anybody who waits, when what is unfinished is done."""
        if self._task is None or self._task.done():
            await work()
        else:
            _leave(asyncio.create_task(_after(self._task, work)))


async def _after(task: asyncio.Task[Any], work: Callable[[], Awaitable[None]]) -> None:
    await asyncio.wait({task})
    await work()


def _leave(task: asyncio.Task[Any]) -> None:
    _left.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("left_work_failed", **place_of(error))
