"""Runs the tasks that this process leads, for as long as it leads them.

A task is a loop. It is started when the process is elected and stopped when the process is not
certain any more that it leads: at once when the connection of the election fails, and before the
lease could have ended. What a process that was frozen does before it notices has no effect of its
own: tasks are such that two at once do no harm (rows are locked or fenced, events are stored
once). docs/gateway.md says so of each. One that ends by itself ends the process, as any loop does.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.leadership.election import LEASE, CandidateSession, candidate_session
from runtime.backoff import Backoff
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds, Supervisor

HEARTBEAT_SECONDS = 1.0
# A heartbeat that takes longer has failed. With the rest before it, it ends before the lease.
HEARTBEAT_TIMEOUT_SECONDS = 2.0
RECONNECT = Backoff(timedelta(milliseconds=100), timedelta(seconds=1))
RESIGN_TIMEOUT_SECONDS = 2.0
# What a stop leaves for the heartbeat under way, for the tasks to end, and to resign.
FINISH_SECONDS = 8.0
assert LEASE.total_seconds() > HEARTBEAT_SECONDS + HEARTBEAT_TIMEOUT_SECONDS

LEADING = Gauge(
    "gateway_leader_task_leading", "1 while this process leads the task, else 0.", ["task"]
)
ELECTIONS = Counter(
    "gateway_leader_task_elections_total", "Times this process was elected.", ["task"]
)
CLOCK_AHEAD = Gauge(
    "gateway_clock_ahead_seconds", "This worker's clock less the database's; negative if behind."
)

log = get_logger(__name__)


class LeaderTaskRunner:
    """A candidate for its tasks, and their runner."""

    def __init__(
        self, engine: AsyncEngine, supervisor: Supervisor, tasks: Sequence[Loop], clock: Clock
    ) -> None:
        """`engine` has a connection to spare for as long as the runner's loop runs."""
        self._engine = engine
        self._supervisor = supervisor
        self._leader_tasks = {task.name: task for task in tasks}
        self._clock = clock
        # The tasks that are led and run, each with the epoch that it was started in.
        self._running: dict[str, tuple[int, asyncio.Task[None]]] = {}
        for name in self._leader_tasks:
            LEADING.labels(name).set(0)

    def loop(self) -> Loop:
        """Stands for election; when it is stopped, stops its tasks and resigns."""
        return Loop(
            "leader tasks",
            session=self._candidacy,
            poll_seconds=HEARTBEAT_SECONDS,
            finish_seconds=FINISH_SECONDS,
            backoff=RECONNECT,
        )

    async def _candidacy(self) -> Rounds:
        """One candidate's session; a round is a heartbeat."""
        released: Sequence[str] = ()
        async with candidate_session(self._engine) as session:
            try:
                while True:  # Until the loop closes it.
                    async with asyncio.timeout(HEARTBEAT_TIMEOUT_SECONDS):
                        standing = await session.heartbeat(self._leader_tasks, released)
                    CLOCK_AHEAD.set((self._clock.now() - standing.now).total_seconds())
                    await self._follow(standing.led, standing.surplus)
                    # Only what has stopped is handed over, and that at once.
                    released = standing.surplus
                    yield bool(released)
            except GeneratorExit:
                await self._stop(list(self._running))
                await self._resign(session)
                raise
            finally:
                await self._stop(list(self._running))

    async def _follow(self, led: Mapping[str, int], surplus: Collection[str]) -> None:
        """Stops what is not ours any more, and starts what is."""
        wanted = {name: epoch for name, epoch in led.items() if name not in surplus}
        await self._stop([n for n, (epoch, _) in self._running.items() if wanted.get(n) != epoch])
        for name, epoch in wanted.items():
            if name in self._running:
                continue
            ELECTIONS.labels(name).inc()
            LEADING.labels(name).set(1)
            log.info("leader_task_led", task=name, epoch=epoch)
            self._running[name] = (epoch, self._supervisor.start(self._leader_tasks[name]))

    async def _stop(self, names: Collection[str]) -> None:
        stopped = [self._running.pop(name) for name in names]
        for name in names:
            LEADING.labels(name).set(0)
            log.info("leader_task_left", task=name)
        await self._supervisor.stop(*(task for _, task in stopped))

    async def _resign(self, session: CandidateSession) -> None:
        try:
            async with asyncio.timeout(RESIGN_TIMEOUT_SECONDS):
                await session.resign()
        except (SQLAlchemyError, OSError) as error:
            # The others see that our session is gone.
            log.info("gone_without_resigning", error_type=type(error).__name__)
