"""Leader tasks are loops: one that ends by itself is an unexpected end like any other."""

import asyncio

import psycopg
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.leadership.leader_tasks import LeaderTaskRunner
from runtime.clock import SystemClock
from runtime.loops import Loop, LoopEnded, Supervisor
from sandbox.polling import poll

PATIENCE_SECONDS = 20.0


class Task:
    """A task that works, until it is told to fail."""

    def __init__(self, name: str) -> None:
        self.fails = False
        self.rounds = 0
        self.loop = Loop(name, self._round, poll_seconds=0.01)

    async def _round(self) -> bool:
        if self.fails:
            raise LookupError("nobody foresaw that")
        self.rounds += 1
        return False

    async def works(self) -> None:
        """Waits for another round."""
        before = self.rounds
        await poll(self._count, lambda count: count > before, PATIENCE_SECONDS)

    async def _count(self) -> int:
        return self.rounds


def leading(task: str) -> float | None:
    return REGISTRY.get_sample_value("gateway_leader_task_leading", {"task": task})


async def nothing(_: LoopEnded) -> None:
    """The test asks for the end."""


async def test_a_task_that_ends_by_itself_is_told_like_any_loop(engine: AsyncEngine) -> None:
    good, bad = Task("good"), Task("bad")
    supervisor = Supervisor(nothing)
    runner = LeaderTaskRunner(engine, supervisor, [good.loop, bad.loop], SystemClock())
    assert leading("bad") == 0
    async with supervisor.running(runner.loop()):
        await asyncio.gather(good.works(), bad.works())
        assert leading("bad") == 1
        bad.fails = True
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await supervisor.ended()
        assert ended.loop == "bad"
        assert ended.reason.startswith("LookupError at ")
        # What ends the process is somebody else's; the other task goes on until then.
        await good.works()
    assert leading("good") == leading("bad") == 0


async def test_who_is_stopped_ends_its_tasks_and_resigns(
    engine: AsyncEngine, database_url: str
) -> None:
    task, supervisor = Task("task"), Supervisor(nothing)
    runner = LeaderTaskRunner(engine, supervisor, [task.loop], SystemClock())
    async with supervisor.running(runner.loop()):
        await task.works()
    assert supervisor.stopped_because is None
    rounds = task.rounds
    with psycopg.connect(database_url) as connection:
        left = connection.execute("SELECT count(*) FROM leader_candidate").fetchone()
    assert left == (0,)
    assert task.rounds == rounds


async def test_tasks_end_with_the_session_and_begin_anew_with_the_next(
    engine: AsyncEngine, database_url: str
) -> None:
    task, supervisor = Task("task"), Supervisor(nothing)
    runner = LeaderTaskRunner(engine, supervisor, [task.loop], SystemClock())
    elections = {"task": "task"}
    name = "gateway_leader_task_elections_total"
    before = REGISTRY.get_sample_value(name, elections) or 0

    async def elected() -> float:
        return REGISTRY.get_sample_value(name, elections) or 0

    async with supervisor.running(runner.loop()):
        await task.works()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND objsubid = 2 AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        await poll(elected, lambda count: count == before + 2, PATIENCE_SECONDS)
        await task.works()
    assert supervisor.stopped_because is None
