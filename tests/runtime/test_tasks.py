"""A task that loses a cancellation is stopped all the same; what is left goes on."""

import asyncio

import pytest

from runtime.tasks import Unfinished, cancel
from sandbox.polling import poll


async def test_a_lost_cancellation_is_repeated() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel(task), 30)
    assert task.cancelled()
    assert lost == 2


async def test_tasks_that_have_ended_are_left_alone() -> None:
    async def fail() -> None:
        raise ValueError("as it was")

    done = asyncio.create_task(fail())
    await asyncio.wait({done})
    await cancel(done)
    assert isinstance(done.exception(), ValueError)


async def test_work_that_is_left_goes_on_and_what_comes_after_it_waits() -> None:
    unfinished, may_end = Unfinished(), asyncio.Event()
    done: list[str] = []

    async def work() -> None:
        await may_end.wait()
        done.append("work")

    async def after() -> None:
        done.append("after")

    caller = asyncio.create_task(unfinished.run(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await unfinished.then(after)
    assert done == []
    may_end.set()
    await poll(lambda: asyncio.sleep(0, done), lambda found: found == ["work", "after"])
    await unfinished.then(after)
    assert done == ["work", "after", "after"]


async def test_what_becomes_of_work_that_is_left_is_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    may_fail = asyncio.Event()

    async def work() -> None:
        await may_fail.wait()
        raise ValueError("a row, which the log does not quote")

    caller = asyncio.create_task(Unfinished().run(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_fail.set()
    printed = ""

    async def read() -> str:
        nonlocal printed
        printed += capsys.readouterr().out
        return printed

    await poll(read, lambda found: "left_work_failed" in found)
    assert "ValueError" in printed
    assert "a row" not in printed
