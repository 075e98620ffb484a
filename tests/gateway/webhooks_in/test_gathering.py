"""Calls that come while one write is under way share the next one."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from gateway.webhooks_in.gathering import Gathering


class Disk:
    """Writes when it is let, and remembers what came together."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None

    @property
    def written(self) -> list[int]:
        """Everything, in order."""
        return list(itertools.chain.from_iterable(self.writes))

    async def write(self, items: Sequence[int]) -> list[int]:
        self.writes.append(list(items))
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        return [item * 10 for item in items]


async def begun(*calls: "asyncio.Task[int]") -> None:
    for _ in calls:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_one_is_written_at_once_and_those_behind_it_together() -> None:
    disk = Disk()
    gathering = Gathering(disk.write, max_items=3)
    calls = [asyncio.create_task(gathering(number)) for number in range(6)]
    await begun(*calls)
    disk.go_on.set()
    assert await asyncio.gather(*calls) == [0, 10, 20, 30, 40, 50]
    assert max(map(len, disk.writes)) == 3
    assert disk.written == list(range(6))
    await gathering.close()


async def test_who_comes_the_moment_that_a_write_ends_is_not_forgotten() -> None:
    disk = Disk()
    disk.go_on.set()
    gathering = Gathering(disk.write, max_items=3)
    async with asyncio.timeout(10):
        for number in range(50):
            assert await gathering(number) == number * 10


async def test_a_failed_write_fails_all_in_it_and_none_after_it() -> None:
    disk = Disk()
    disk.failure = OSError("disk full")
    gathering = Gathering(disk.write, max_items=8)
    calls = [asyncio.create_task(gathering(number)) for number in range(3)]
    await begun(*calls)
    disk.go_on.set()
    for call in calls:
        with pytest.raises(OSError, match="disk full"):
            await call
    disk.failure = None
    assert await gathering(7) == 70


async def test_who_gives_up_waiting_takes_nobody_along() -> None:
    disk = Disk()
    gathering = Gathering(disk.write, max_items=8)
    calls = [asyncio.create_task(gathering(number)) for number in range(3)]
    await begun(*calls)
    calls[1].cancel()
    await asyncio.wait([calls[1]])
    disk.go_on.set()
    assert [await calls[0], await calls[2]] == [0, 20]
    assert 1 in disk.written, "it was on its way already"


async def test_several_writes_may_run_side_by_side() -> None:
    disk = Disk()
    gathering = Gathering(disk.write, max_items=1, max_writes=2)
    calls = [asyncio.create_task(gathering(number)) for number in range(4)]
    await begun(*calls)
    assert disk.writes == [[0], [1]]
    disk.go_on.set()
    assert await asyncio.gather(*calls) == [0, 10, 20, 30]
