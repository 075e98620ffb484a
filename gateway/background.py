"""Loops that run beside the server for as long as the process does."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from runtime.logs import get_logger
from runtime.tasks import cancel

log = get_logger(__name__)

Loop = Coroutine[Any, Any, None]


@asynccontextmanager
async def running(loops: Iterable[Loop]) -> AsyncIterator[None]:
    """Runs loops until the block ends; one that ends before by an error is logged."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        await cancel(*tasks)


def _report(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("loop_ended", loop=str(task.get_coro()), error=type(error).__name__)
