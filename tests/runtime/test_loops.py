"""Loops: their rounds, rests and failures."""

import asyncio
import itertools
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy.exc
from structlog.testing import capture_logs

from runtime.backoff import Backoff
from runtime.loops import Loop, Rounds, is_unavailable
from runtime.notifier import Notifier
from runtime.tasks import cancel
from tests.runtime.looping import (
    NEVER_SECONDS,
    PATIENCE_SECONDS,
    Work,
    metric,
    name,
    run_until,
    turns,
)


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


async def test_an_attempt_is_one_round_whose_expected_failure_is_left_to_the_next() -> None:
    work = Work(ConnectionError("away"), True, ValueError("a bug"))
    loop = Loop(name(), work.round, poll_seconds=NEVER_SECONDS)
    await loop.attempt()
    await loop.attempt()
    assert (work.done, metric("rounds_total", loop.name)) == (2, 1)
    with pytest.raises(ValueError, match="a bug"):
        await loop.attempt()
