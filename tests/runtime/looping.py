"""Work of loops that goes as a test says."""

import asyncio
import itertools
from collections.abc import Iterator

from prometheus_client import REGISTRY

from runtime.loops import Loop
from runtime.tasks import cancel

PATIENCE_SECONDS = 20.0
NEVER_SECONDS = 3600.0
_numbers = itertools.count(1)


def name() -> str:
    """A name of a loop that no other test uses."""
    return f"tested loop {next(_numbers)}"


def metric(which: str, loop: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"loop_{which}", {"loop": loop, **labels})


class Work:
    """Rounds that go as they are told, and stop the test that asks for one more."""

    def __init__(self, *rounds: bool | Exception) -> None:
        self._rounds: Iterator[bool | Exception] = iter(rounds)
        self.done = 0
        self.begun = asyncio.Event()
        self.all_done = asyncio.Event()

    async def round(self) -> bool:
        step = next(self._rounds, None)
        if step is None:
            self.all_done.set()
            await asyncio.sleep(NEVER_SECONDS)
        self.done += 1
        self.begun.set()
        if isinstance(step, Exception):
            raise step
        return bool(step)


async def turns() -> None:
    """Turns of the event loop in which whoever can go on does so."""
    for _ in range(100):
        await asyncio.sleep(0)


async def run_until(event: asyncio.Event, loop: Loop) -> None:
    task = asyncio.create_task(loop.run())
    waiting = asyncio.create_task(event.wait())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        await cancel(task, waiting)
