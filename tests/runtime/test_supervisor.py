"""Who runs loops: ends that nobody asked for, first rounds in turn, and stops."""

import asyncio

import pytest
from structlog.testing import capture_logs

from runtime.loops import Loop, LoopEnded, Rounds, Supervisor
from tests.runtime.looping import (
    NEVER_SECONDS,
    PATIENCE_SECONDS,
    Work,
    name,
    turns,
)


class Ends:
    """Who is told of a loop's end."""

    def __init__(self) -> None:
        self.told: list[LoopEnded] = []
        self.supervisor = Supervisor(self._tell)

    async def _tell(self, ended: LoopEnded) -> None:
        self.told.append(ended)

    async def ended(self) -> LoopEnded:
        return await asyncio.wait_for(self.supervisor.ended(), PATIENCE_SECONDS)


async def test_an_error_that_nobody_foresaw_ends_the_process() -> None:
    ends = Ends()
    work = Work(True, ValueError("Ada Lovelace, born 1815"))
    loop = Loop(name(), work.round, poll_seconds=NEVER_SECONDS)
    with capture_logs() as logs:
        async with ends.supervisor.running(loop):
            ended = await ends.ended()
    assert ended == ends.supervisor.stopped_because == ends.told[0]
    assert ended.loop == loop.name
    assert ended.reason.startswith("ValueError at ")
    assert ended.reason.endswith(" round")
    (entry,) = (entry for entry in logs if entry["event"] == "loop_ended")
    assert (entry["log_level"], entry["loop"], entry["reason"]) == (
        "critical",
        loop.name,
        ended.reason,
    )
    assert "Ada" not in str(logs) + str(ended)


class Returns(Loop):
    """A loop with a fault: it returns."""

    async def run(self) -> None:
        await asyncio.sleep(0)


async def test_a_loop_that_returns_has_ended() -> None:
    ends = Ends()
    loop = Returns(name(), Work().round, poll_seconds=NEVER_SECONDS)
    async with ends.supervisor.running(loop):
        assert (await ends.ended()).reason == "it returned"


async def test_a_loop_that_somebody_else_cancels_has_ended() -> None:
    ends = Ends()
    task = ends.supervisor.start(Loop(name(), Work().round, poll_seconds=NEVER_SECONDS))
    await asyncio.sleep(0)
    task.cancel()
    assert (await ends.ended()).reason == "it was cancelled"


async def test_of_several_ends_the_first_is_the_reason() -> None:
    ends = Ends()
    loops = [
        Loop(name(), Work(error).round, poll_seconds=NEVER_SECONDS)
        for error in (ValueError(), TypeError())
    ]
    async with ends.supervisor.running(*loops):
        assert (await ends.ended()).loop == loops[0].name
    assert len(ends.told) == 1


async def test_first_rounds_come_one_after_the_other() -> None:
    ends, order = Ends(), list[str]()
    ends.supervisor.in_turn = True
    last = asyncio.Event()

    def work(number: int) -> Loop:
        async def look() -> bool:
            order.append(f"{number} begins")
            await turns()
            order.append(f"{number} ends")
            if number == 4:
                last.set()
            return False

        # One that rests first holds nobody up.
        rests_first = number == 2
        return Loop(name(), look, poll_seconds=NEVER_SECONDS, rests_first=rests_first)

    async with ends.supervisor.running(*(work(number) for number in range(1, 5))):
        await asyncio.wait_for(last.wait(), PATIENCE_SECONDS)
    assert order == ["1 begins", "1 ends", "3 begins", "3 ends", "4 begins", "4 ends"]


async def test_a_first_round_that_takes_long_holds_the_others_up_only_for_a_while() -> None:
    ends, begun = Ends(), asyncio.Event()
    ends.supervisor.in_turn = True

    async def hang() -> bool:
        await asyncio.sleep(NEVER_SECONDS)
        return False

    async def begin() -> bool:
        begun.set()
        return False

    slow = Loop(name(), hang, poll_seconds=NEVER_SECONDS)
    async with ends.supervisor.running(slow, Loop(name(), begin, poll_seconds=NEVER_SECONDS)):
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
    assert ends.told == []


async def test_who_is_stopped_before_its_turn_does_nothing_and_holds_nobody_up() -> None:
    ends, third = Ends(), Work(False)
    second = Work(False)
    begun, release = asyncio.Event(), asyncio.Event()

    async def first_round() -> bool:
        begun.set()
        await release.wait()
        return False

    supervisor = ends.supervisor
    supervisor.in_turn = True
    first = supervisor.start(Loop(name(), first_round, poll_seconds=NEVER_SECONDS))
    stopped = supervisor.start(
        Loop(name(), second.round, poll_seconds=NEVER_SECONDS, finish_seconds=NEVER_SECONDS)
    )
    last = supervisor.start(Loop(name(), third.round, poll_seconds=NEVER_SECONDS))
    await begun.wait()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await supervisor.stop(stopped)
        release.set()
        await third.begun.wait()
        await supervisor.stop(first, last)
    assert (second.done, ends.told) == (0, [])


async def test_stopping_is_no_end_and_cuts_off_the_round_under_way() -> None:
    ends = Ends()
    work, closed = Work(True), asyncio.Event()

    async def session() -> Rounds:
        try:
            while True:
                yield await work.round()
        finally:
            closed.set()

    resting = Loop(name(), Work(False).round, poll_seconds=NEVER_SECONDS)
    async with ends.supervisor.running(
        Loop(name(), session=session, poll_seconds=NEVER_SECONDS), resting
    ):
        await asyncio.wait_for(work.all_done.wait(), PATIENCE_SECONDS)
    assert closed.is_set()
    assert (ends.told, ends.supervisor.stopped_because) == ([], None)


@pytest.mark.parametrize("seconds", [PATIENCE_SECONDS, 0.01])
async def test_a_round_under_way_may_be_given_time_to_finish(seconds: float) -> None:
    ends = Ends()
    begun, release = asyncio.Event(), asyncio.Event()
    finished = 0

    async def batch() -> bool:
        nonlocal finished
        begun.set()
        await release.wait()
        finished += 1
        return True

    loop = Loop(name(), batch, poll_seconds=NEVER_SECONDS, finish_seconds=seconds)
    task = ends.supervisor.start(loop)
    await begun.wait()
    stopping = asyncio.create_task(ends.supervisor.stop(task))
    if seconds == PATIENCE_SECONDS:
        asyncio.get_running_loop().call_soon(release.set)
    await asyncio.wait_for(stopping, PATIENCE_SECONDS / 2)
    assert finished == (1 if seconds == PATIENCE_SECONDS else 0)
    assert ends.told == []


@pytest.mark.parametrize(
    ("worked", "rest_seconds", "between_seconds"),
    [(False, 0.0, 0.0), (False, NEVER_SECONDS, 0.0), (True, 0.0, NEVER_SECONDS)],
)
async def test_a_loop_that_rests_is_stopped_at_once(
    worked: bool, rest_seconds: float, between_seconds: float
) -> None:
    ends, work = Ends(), Work(worked)
    loop = Loop(
        name(),
        work.round,
        poll_seconds=NEVER_SECONDS,
        rest_seconds=rest_seconds,
        between_seconds=between_seconds,
        finish_seconds=PATIENCE_SECONDS,
    )
    task = ends.supervisor.start(loop)
    await asyncio.wait_for(work.begun.wait(), PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS / 2):
        await ends.supervisor.stop(task)
    assert (work.done, ends.told) == (1, [])


async def test_an_error_while_stopping_is_told_but_is_no_end() -> None:
    ends = Ends()
    begun = asyncio.Event()

    async def clumsy() -> Rounds:
        try:
            begun.set()
            await asyncio.sleep(NEVER_SECONDS)
            yield True
        finally:
            raise ValueError("Ada Lovelace")

    loop = Loop(name(), session=clumsy, poll_seconds=NEVER_SECONDS)
    with capture_logs() as logs:
        async with ends.supervisor.running(loop):
            await begun.wait()
    (entry,) = (entry for entry in logs if entry["event"] == "loop_failed_while_stopping")
    assert (entry["loop"], entry["error_type"]) == (loop.name, "ValueError")
    assert ends.told == []
