"""Items that come while one write is under way share the next one."""

import asyncio
import contextvars
import itertools
from collections.abc import Sequence

import pytest

from runtime import batching, deadline
from runtime.batching import Batcher, FullError


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

    async def write(self, items: Sequence[int]) -> list[int | Exception]:
        self.writes.append(list(items))
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        return [item * 10 if item >= 0 else ValueError(item) for item in items]


async def begun() -> None:
    """Lets writes begin that have been asked for."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_one_is_written_at_once_and_those_behind_it_together() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=3)
    first = batcher.submit(0)
    await begun()
    rest = [batcher.submit(number) for number in range(1, 6)]
    disk.go_on.set()
    assert await asyncio.gather(first, *rest) == [0, 10, 20, 30, 40, 50]
    assert disk.writes == [[0], [1, 2, 3], [4, 5]]
    await batcher.close()


async def test_who_comes_the_moment_that_a_write_ends_is_not_forgotten() -> None:
    disk = Disk()
    disk.go_on.set()
    batcher = Batcher(disk.write, max_items=3)
    async with asyncio.timeout(10):
        for number in range(50):
            assert await batcher.submit(number) == number * 10


async def test_a_failed_write_fails_all_in_it_and_none_after_it() -> None:
    disk = Disk()
    disk.failure = OSError("disk full")
    batcher = Batcher(disk.write, max_items=8)
    results = [batcher.submit(number) for number in range(3)]
    await begun()
    later = batcher.submit(4)
    disk.go_on.set()
    for result in results:
        with pytest.raises(OSError, match="disk full"):
            await result
    disk.failure = None
    with pytest.raises(OSError, match="disk full"):
        await later
    assert await batcher.submit(7) == 70


async def test_a_failure_of_one_item_is_its_own() -> None:
    disk = Disk()
    disk.go_on.set()
    batcher = Batcher(disk.write, max_items=8)
    good, bad, last = batcher.submit(1), batcher.submit(-1), batcher.submit(2)
    assert (await good, await last) == (10, 20)
    with pytest.raises(ValueError, match="-1"):
        await bad


async def test_who_leaves_before_the_write_begins_is_not_in_it() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=2)
    first = batcher.submit(0)
    await begun()
    results = [batcher.submit(number) for number in range(1, 5)]
    results[1].cancel()
    disk.go_on.set()
    assert [await first, await results[0], await results[2], await results[3]] == [0, 10, 30, 40]
    assert disk.writes == [[0], [1, 3], [4]]


async def test_who_leaves_a_write_under_way_takes_nobody_along() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=8)
    results = [batcher.submit(number) for number in range(3)]
    await begun()
    results[1].cancel()
    disk.go_on.set()
    assert [await results[0], await results[2]] == [0, 20]
    assert disk.written == [0, 1, 2]


async def test_several_writes_may_run_side_by_side() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=1, max_writes=2)
    results = [batcher.submit(number) for number in range(4)]
    await begun()
    assert disk.writes == [[0], [1]]
    disk.go_on.set()
    assert await asyncio.gather(*results) == [0, 10, 20, 30]


async def test_no_two_writes_at_a_time_have_the_same_key() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=4, max_writes=2, key=lambda number: number % 10)
    results = [batcher.submit(number) for number in (1, 11)]
    await begun()
    results += [batcher.submit(number) for number in (21, 2, 12, 3)]
    await begun()
    # The one that comes second of its key waits for the first, and nobody else for either.
    assert disk.writes == [[1], [2, 3]]
    disk.go_on.set()
    assert await asyncio.gather(*results) == [10, 110, 210, 20, 120, 30]
    assert [number for number in disk.written if number % 10 == 1] == [1, 11, 21]
    assert [number for number in disk.written if number % 10 == 2] == [2, 12]


async def test_so_many_may_wait() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=1, max_waiting=2)
    results = [batcher.submit(0)]
    await begun()
    results += [batcher.submit(1), batcher.submit(2)]
    with pytest.raises(FullError):
        batcher.submit(3)
    disk.go_on.set()
    assert await asyncio.gather(*results) == [0, 10, 20]
    assert await batcher.submit(3) == 30


async def test_a_write_belongs_to_no_caller_and_has_no_caller_s_deadline() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[tuple[str, float | None]] = []

    async def write(items: Sequence[int]) -> list[int]:
        seen.append((name.get(), deadline.remaining()))
        return list(items)

    name.set("caller")
    with deadline.within(1.0):
        assert await Batcher(write, max_items=1).submit(1) == 1
    assert seen == [("nobody", None)]


async def test_close_waits_for_what_is_being_written() -> None:
    disk = Disk()
    batcher = Batcher(disk.write, max_items=1)
    results = [batcher.submit(0), batcher.submit(1)]
    await begun()
    closing = asyncio.create_task(batcher.close())
    await begun()
    assert not closing.done()
    disk.go_on.set()
    await closing
    assert [result.result() for result in results] == [0, 10]


async def test_who_was_just_answered_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GATHERING_STEP_SECONDS", 60.0)
    disk = Disk()
    disk.go_on.set()
    batcher = Batcher(disk.write, max_items=8, gathers=True)
    await asyncio.gather(*[batcher.submit(number) for number in range(4)])
    # Of the four and the first to come again nine tenths are four.
    results = [batcher.submit(4)]
    await begun()
    results += [batcher.submit(number) for number in (5, 6)]
    await begun()
    assert disk.writes == [[0, 1, 2, 3]]
    results.append(batcher.submit(7))
    async with asyncio.timeout(30):
        await asyncio.gather(*results)
    assert disk.writes == [[0, 1, 2, 3], [4, 5, 6, 7]]
    await batcher.close()


async def test_who_does_not_come_again_keeps_nobody_waiting() -> None:
    disk = Disk()
    disk.go_on.set()
    batcher = Batcher(disk.write, max_items=8, gathers=True)
    await asyncio.gather(*[batcher.submit(number) for number in range(8)])
    async with asyncio.timeout(30):
        assert await batcher.submit(8) == 80
    await batcher.close()


async def test_a_lone_caller_is_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GATHERING_STEP_SECONDS", 3_600.0)
    disk = Disk()
    disk.go_on.set()
    batcher = Batcher(disk.write, max_items=8, gathers=True)
    async with asyncio.timeout(30):
        for number in range(5):
            assert await batcher.submit(number) == number * 10
    assert disk.writes == [[0], [1], [2], [3], [4]]
    await batcher.close()


async def test_a_write_that_is_full_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GATHERING_STEP_SECONDS", 3_600.0)
    gathering = batching.Gathering(max_items=100)
    gathering.took(50)
    waiting = [0]
    task = asyncio.create_task(gathering.wait(waiting))
    await begun()
    assert not task.done()
    gathering.came(len(waiting), is_full=True)
    async with asyncio.timeout(30):
        await task
