"""A task that loses a cancellation is stopped all the same."""

import asyncio

from runtime.tasks import cancel


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
