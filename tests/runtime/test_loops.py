"""Loops: their rounds, rests, failures and ends."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy.exc
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from runtime.backoff import Backoff
from runtime.loops import Loop, LoopEnded, Rounds, Supervisor, is_unavailable
from runtime.notifier import Notifier
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


async def test_work_is_followed_by_more_at_once_and_idleness_by_a_rest() -> None:
    work, idle = Work(True, True, True), Work(False, True)
    await run_until(work.all_done, Loop(name(), work.round, poll_seconds=NEVER_SECONDS))
    assert work.done == 3
    loop = Loop(name(), idle.round, poll_seconds=NEVER_SECONDS)
    task = asyncio.create_task(loop.run())
    await asyncio.wait_for(idle.begun.wait(), PATIENCE_SECONDS)
    await turns()
    assert idle.done == 1
    await cancel(task)


async def test_a_rest_ends_after_the_poll_interval_or_when_notified() -> None:
    polling = Work(False, False)
    await run_until(polling.all_done, Loop(name(), polling.round, poll_seconds=0.001))
    assert polling.done == 2

    notifier = Notifier()
    notified = asyncio.Event()
    looks = 0

    async def look() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            # While the round is under way: it may have looked already at what is new.
            notifier.notify()
        else:
            notified.set()
        return False

    await run_until(notified, Loop(name(), look, poll_seconds=NEVER_SECONDS, notifier=notifier))
    assert looks == 2


async def test_a_loop_may_rest_first() -> None:
    notifier, work = Notifier(), Work(True)
    loop = Loop(name(), work.round, poll_seconds=NEVER_SECONDS, notifier=notifier, rests_first=True)
    task = asyncio.create_task(loop.run())
    await turns()
    assert work.done == 0
    notifier.notify()
    await asyncio.wait_for(work.all_done.wait(), PATIENCE_SECONDS)
    await cancel(task)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError("away"), True),
        (TimeoutError("late"), True),
        (psycopg.OperationalError("away"), True),
        (psycopg.errors.AdminShutdown("away"), True),
        (psycopg.errors.ReadOnlySqlTransaction("a standby"), True),
        (sqlalchemy.exc.OperationalError("SELECT", {}, Exception("away")), True),
        (sqlalchemy.exc.TimeoutError("the pool"), True),
        (
            sqlalchemy.exc.DBAPIError("SELECT", {}, Exception("x"), connection_invalidated=True),
            True,
        ),
        (psycopg.errors.UndefinedColumn("a bug"), False),
        (psycopg.errors.UniqueViolation("a bug"), False),
        (sqlalchemy.exc.ProgrammingError("SELECT", {}, Exception("a bug")), False),
        (ValueError("a bug"), False),
        (AssertionError("a bug"), False),
    ],
)
async def test_only_what_is_away_is_expected(error: Exception, expected: bool) -> None:
    assert is_unavailable(error) is expected
    work = Work(error, True)
    loop = Loop(name(), work.round, poll_seconds=NEVER_SECONDS, jitter=lambda: 0.0)
    if expected:
        await run_until(work.all_done, loop)
    else:
        with pytest.raises(type(error)):
            await run_until(work.all_done, loop)
    assert metric("failures_total", loop.name, kind="expected") == float(expected)
    assert metric("failures_total", loop.name, kind="unexpected") == float(not expected)


async def test_expected_failures_back_off_are_told_once_and_recovered_from() -> None:
    told: list[Exception] = []
    draws: list[float] = []

    def jitter() -> float:
        draws.append(0.0)
        return 0.0

    errors = [KeyError("Ada Lovelace"), KeyError("Ada Lovelace"), ConnectionResetError("away")]
    work = Work(*errors, True, KeyError("again"), True)
    loop = Loop(
        name(),
        work.round,
        poll_seconds=NEVER_SECONDS,
        expected=(KeyError,),
        on_expected=told.append,
        jitter=jitter,
    )
    with capture_logs() as logs:
        await run_until(work.all_done, loop)
    assert (work.done, len(draws), len(told)) == (6, 4, 4)
    ours = [entry for entry in logs if entry.get("loop") == loop.name]
    assert [(entry["event"], entry.get("error_type")) for entry in ours] == [
        ("loop_failed", "KeyError"),
        ("loop_failed", "ConnectionResetError"),
        ("loop_goes_on", None),
        ("loop_failed", "KeyError"),
        ("loop_goes_on", None),
    ]
    assert ours[0]["places"][-1].endswith(" round")
    assert "Ada" not in str(logs)
    assert metric("failures_total", loop.name, kind="expected") == 4
    assert metric("rounds_total", loop.name) == 2


async def test_the_pause_after_failures_grows_and_a_notification_does_not_cut_it_short() -> None:
    """The back-off's bound is waited for in full: the draw is its whole."""
    backoff = Backoff(timedelta(milliseconds=20), timedelta(milliseconds=40))
    notifier, moments = Notifier(), []

    async def fail() -> bool:
        moments.append(asyncio.get_running_loop().time())
        asyncio.get_running_loop().call_soon(notifier.notify)
        if len(moments) == 4:
            enough.set()
        raise ConnectionError

    enough = asyncio.Event()
    loop = Loop(
        name(),
        fail,
        poll_seconds=NEVER_SECONDS,
        notifier=notifier,
        backoff=backoff,
        jitter=lambda: 1.0,
    )
    await run_until(enough, loop)
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert all(
        pause >= bound for pause, bound in zip(pauses, (0.0199, 0.0399, 0.0399), strict=True)
    )


async def test_a_session_shares_its_connection_and_is_opened_anew_after_a_failure() -> None:
    happened: list[str] = []
    enough = asyncio.Event()

    async def session() -> Rounds:
        number = happened.count("open") + 1
        happened.append("open")
        try:
            yield True
            happened.append("round")
            yield True
            if number == 1:
                raise ConnectionError
            if number == 2:
                return
            enough.set()
            yield False
        finally:
            happened.append("close")

    loop = Loop(name(), session=session, poll_seconds=0.001, jitter=lambda: 0.0)
    await run_until(enough, loop)
    assert happened == ["open", "round", "close"] * 3


async def test_metrics_are_there_before_the_first_round() -> None:
    loop = Loop(name(), Work().round, poll_seconds=12.5)
    assert metric("rounds_total", loop.name) == 0
    assert metric("failures_total", loop.name, kind="expected") == 0
    assert metric("failures_total", loop.name, kind="unexpected") == 0
    assert metric("last_success_timestamp_seconds", loop.name) == 0
    assert metric("poll_seconds", loop.name) == 12.5


async def test_the_last_success_is_told_while_the_loop_runs() -> None:
    work = Work(True)
    loop = Loop(name(), work.round, poll_seconds=NEVER_SECONDS)
    task = asyncio.create_task(loop.run())
    await asyncio.wait_for(work.all_done.wait(), PATIENCE_SECONDS)
    last = metric("last_success_timestamp_seconds", loop.name)
    assert last is not None
    assert last > 1_700_000_000
    await cancel(task)
    assert metric("last_success_timestamp_seconds", loop.name) == 0


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


async def test_an_attempt_is_one_round_whose_expected_failure_is_left_to_the_next() -> None:
    work = Work(ConnectionError("away"), True, ValueError("a bug"))
    loop = Loop(name(), work.round, poll_seconds=NEVER_SECONDS)
    await loop.attempt()
    await loop.attempt()
    assert (work.done, metric("rounds_total", loop.name)) == (2, 1)
    with pytest.raises(ValueError, match="a bug"):
        await loop.attempt()
