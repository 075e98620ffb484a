"""The two numbers that control a process: the clock's offset and the steps that are left."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.control import Control, count_steps

ENOUGH = timedelta(seconds=30)


async def three_awaits() -> str:
    """Goes on from an await three times after its first step."""
    for _ in range(3):
        await asyncio.sleep(0)
    return "done"


def in_a_loop_of_its_own(steps: list[int], work: Coroutine[Any, Any, str]) -> str:
    """Runs work in a loop whose tasks note each step."""

    async def main() -> str:
        count_steps(asyncio.get_running_loop(), lambda: steps.append(1))
        return await asyncio.create_task(work)

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_every_step_of_a_task_is_counted() -> None:
    steps: list[int] = []
    assert in_a_loop_of_its_own(steps, three_awaits()) == "done"
    assert len(steps) == 4


def test_what_a_counted_task_raises_is_raised() -> None:
    async def fails() -> str:
        await asyncio.sleep(0)
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        in_a_loop_of_its_own([], fails())


def test_a_counted_task_can_be_cancelled() -> None:
    async def waits() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    assert in_a_loop_of_its_own([], waits()) == "timed out"


def test_both_sides_see_the_same_clock(tmp_path: Path) -> None:
    test, process = Control.fresh(tmp_path / "control"), Control(tmp_path / "control")
    test.offset = timedelta(hours=1)
    assert process.now() - datetime.now(UTC) > timedelta(hours=1) - ENOUGH
    test.offset = timedelta(seconds=-90)
    assert process.offset == timedelta(seconds=-90)


def test_a_run_begins_with_the_right_clock(tmp_path: Path) -> None:
    before = Control.fresh(tmp_path / "control")
    before.offset, before.steps_left = timedelta(days=9), 5
    now = Control.fresh(tmp_path / "control")
    assert (now.offset, now.steps_left) == (timedelta(0), 0)


def test_the_process_dies_before_the_step_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    control = Control.fresh(tmp_path / "control")
    control.step()
    control.steps_left = 2
    control.step()
    assert killed == []
    control.step()
    assert killed == [(os.getpid(), signal.SIGKILL)]
    control.step()
    assert len(killed) == 1
