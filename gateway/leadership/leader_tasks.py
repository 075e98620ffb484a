"""Runs the tasks that this process leads, for as long as it leads them.

A task is a loop that runs until it is cancelled. It is started when the process is elected and
stopped when the process is not certain any more that it leads: at once when the connection of the
election fails, and before the lease could have ended. What a process that was frozen does before
it notices has no effect of its own: tasks are such that two at once do no harm (rows are locked
or fenced, events are stored once). docs/gateway.md says so of each.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.background import Loop
from gateway.leadership.election import LEASE, CandidateSession, candidate_session
from runtime.clock import Clock
from runtime.logs import get_logger, place_of
from runtime.tasks import cancel

HEARTBEAT_SECONDS = 1.0
# A heartbeat that takes longer has failed. With the rest before it, it ends before the lease.
HEARTBEAT_TIMEOUT_SECONDS = 3.0
RECONNECT_SECONDS = 0.5
RESIGN_TIMEOUT_SECONDS = 2.0
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


@dataclass(frozen=True, slots=True)
class LeaderTask:
    """Work of which one process at a time does all; `run` makes its loop again."""

    name: str
    run: Callable[[], Loop]


class LeaderTaskRunner:
    """A candidate for its tasks, and their runner."""

    def __init__(self, engine: AsyncEngine, tasks: Sequence[LeaderTask], clock: Clock) -> None:
        """`engine` has a connection to spare for as long as the scheduler runs."""
        self._engine = engine
        self._leader_tasks = {task.name: task for task in tasks}
        self._clock = clock
        # The task of each task that is led, with the epoch that it was started in.
        self._running: dict[str, tuple[int, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Stands for election until cancelled; then stops its tasks and resigns."""
        for name in self._leader_tasks:
            LEADING.labels(name).set(0)
        while True:
            try:
                async with candidate_session(self._engine) as session:
                    try:
                        await self._lead(session)
                    except asyncio.CancelledError:
                        await self._stop(list(self._running))
                        await self._resign(session)
                        raise
            except (SQLAlchemyError, OSError) as error:
                log.warning("scheduler_lost", error_type=type(error).__name__)
            finally:
                await self._stop(list(self._running))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _lead(self, session: CandidateSession) -> None:
        released: Sequence[str] = ()
        while True:
            async with asyncio.timeout(HEARTBEAT_TIMEOUT_SECONDS):
                standing = await session.heartbeat(self._leader_tasks, released)
            CLOCK_AHEAD.set((self._clock.now() - standing.now).total_seconds())
            await self._follow(standing.led, standing.surplus)
            # Only what has stopped is handed over.
            released = standing.surplus
            if not released:
                await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _follow(self, led: Mapping[str, int], surplus: Collection[str]) -> None:
        """Stops what is not ours any more, and starts what is."""
        wanted = {name: epoch for name, epoch in led.items() if name not in surplus}
        await self._stop([n for n, (epoch, _) in self._running.items() if wanted.get(n) != epoch])
        for name, epoch in wanted.items():
            if name not in self._running:
                ELECTIONS.labels(name).inc()
                LEADING.labels(name).set(1)
                log.info("leader_task_led", task=name, epoch=epoch)
            elif self._running[name][1].done():
                _report(name, self._running[name][1])
            else:
                continue
            self._running[name] = (
                epoch,
                asyncio.create_task(self._leader_tasks[name].run(), name=name),
            )

    async def _stop(self, names: Collection[str]) -> None:
        stopped = [self._running.pop(name) for name in names]
        for name in names:
            LEADING.labels(name).set(0)
            log.info("leader_task_left", task=name)
        await cancel(*(task for _, task in stopped))

    async def _resign(self, session: CandidateSession) -> None:
        try:
            async with asyncio.timeout(RESIGN_TIMEOUT_SECONDS):
                await session.resign()
        except (SQLAlchemyError, OSError) as error:
            # The others see that our session is gone.
            log.info("scheduler_gone_without_resigning", error_type=type(error).__name__)


def _report(name: str, task: asyncio.Task[None]) -> None:
    """Logs a task that ended by itself; it is started again."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("leader_task_ended", task=name, **place_of(error))
