"""Background loops, and the supervisor that ends a process in which one has ended by itself.

A loop does rounds until it is stopped. What may happen to a round is of three kinds:

- *Expected*: a dependency is away. It is counted, told of once, and tried again after a while.
- *One item* cannot be read or handled: `runtime.items` keeps it from the others.
- *Anything else* is a fault of ours, of which nobody knows what it has left behind. It ends the
  loop, and with it the process: a restart is tried and seen, a dead loop behind a green light is
  neither. So does a loop that returns, or is cancelled by somebody else.

docs/adr/0022-loops-and-supervision.md says why.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from prometheus_client import Counter, Gauge
from sqlalchemy import exc

from runtime.backoff import Backoff
from runtime.database_errors import DATABASE_IS_GONE
from runtime.logs import get_logger, place_of
from runtime.notifier import Notifier
from runtime.tasks import cancel

DEFAULT_BACKOFF = Backoff(timedelta(milliseconds=100), timedelta(seconds=5))
# So long the loops that are started after another wait for its first round at most.
FIRST_ROUND_SECONDS = 0.05

# How a database or another service is away. Errors of the data or of the SQL are not among these.
UNAVAILABLE: tuple[type[Exception], ...] = (
    # Connections; timeouts too.
    OSError,
    *DATABASE_IS_GONE,
    # The server's own state: read-only since it became a standby, a transaction it gave up.
    psycopg.InternalError,
    exc.InternalError,
    # A connection was lost within a transaction.
    exc.PendingRollbackError,
)

ROUNDS = Counter("loop_rounds_total", "Rounds of a background loop that went well.", ["loop"])
FAILURES = Counter(
    "loop_failures_total",
    "Rounds that failed: expectedly, or by what nobody foresaw, which ends the process.",
    ["loop", "kind"],
)
LAST_SUCCESS = Gauge(
    "loop_last_success_timestamp_seconds",
    "Unix time at which a round last went well, or the loop started; 0 while it does not run.",
    ["loop"],
)
POLL_SECONDS = Gauge("loop_poll_seconds", "How long an idle loop rests at most.", ["loop"])

Round = Callable[[], Awaitable[bool]]
Rounds = AsyncGenerator[bool, None]

log = get_logger(__name__)
_uniform = random.SystemRandom().random


def is_unavailable(error: BaseException) -> bool:
    """Whether an error says that a dependency is away."""
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, UNAVAILABLE)


class Loop:
    """Work that is done in rounds until it is stopped.

    A round says whether it did something: then the next one follows at once. Else the loop rests
    until it is notified, at the latest for `poll_seconds`. Metrics of the loop are there as soon
    as it is made.
    """

    def __init__(
        self,
        name: str,
        work: Round | None = None,
        *,
        session: Callable[[], Rounds] | None = None,
        poll_seconds: float,
        notifier: Notifier | None = None,
        between_seconds: float = 0.0,
        rest_seconds: float = 0.0,
        rests_first: bool = False,
        finish_seconds: float = 0.0,
        expected: tuple[type[Exception], ...] = (),
        on_expected: Callable[[Exception], None] | None = None,
        backoff: Backoff = DEFAULT_BACKOFF,
        jitter: Callable[[], float] = _uniform,
    ) -> None:
        """Either `work` does one round, or `session` does many with something that they share,
        such as a connection: it yields after each, is closed when the loop stops, and opened anew
        after a failure or when it has come to its end.

        `between_seconds` pass after a round that did something, `rest_seconds` after one that did
        not, before a notification counts; a loop that `rests_first` rests before the first round.
        A round under way has `finish_seconds` to end by itself when the loop is stopped.

        Failures are expected that `is_unavailable` knows, and those of the types `expected`:
        `on_expected` is told of each.
        """
        if work is not None:
            assert session is None, "a loop has either a round or a session"
            session = _endless(work)
        assert session is not None, "a loop has either a round or a session"
        self.name = name
        self.finish_seconds = finish_seconds
        self._open = session
        self._poll_seconds = poll_seconds
        self._notifier = notifier or Notifier()
        self._between_seconds = between_seconds
        self._rest_seconds = rest_seconds
        self._rests_first = rests_first
        self._expected = expected
        self._on_expected = on_expected
        self._backoff = backoff
        self._jitter = jitter
        self._failures = 0
        self._told_type: type[Exception] | None = None
        self._finishing = False
        self._resting: asyncio.Task[None] | None = None
        self._on_first_round: Callable[[], None] = _nothing
        self.has_begun = False
        """Whether its turn has come, and it has not ended."""
        self._rounds = ROUNDS.labels(name)
        self._expected_failures = FAILURES.labels(name, "expected")
        self._unexpected_failures = FAILURES.labels(name, "unexpected")
        self._last_success = LAST_SUCCESS.labels(name)
        POLL_SECONDS.labels(name).set(poll_seconds)

    async def run(self) -> None:
        """Does rounds until it is cancelled or has finished. Raises what nobody foresaw."""
        self._finishing = False
        self._failures = 0
        self._last_success.set_to_current_time()
        rounds: Rounds | None = None
        try:
            if self._rests_first:
                self._on_first_round()
                await self._rest(self._notifier.token())
            while not self._finishing:
                token = self._notifier.token()
                rounds = rounds or self._open()
                worked = await self._next(rounds)
                self._on_first_round()
                if worked is None:
                    rounds = None
                    worked = False
                if self._failures:
                    pause = self._backoff.pause(self._failures, self._jitter())
                    await self._idle(pause.total_seconds())
                elif worked:
                    await self._idle(self._between_seconds)
                else:
                    await self._rest(token)
        finally:
            self._last_success.set(0)
            if rounds is not None:
                await rounds.aclose()

    async def run_in_turn(self, before: asyncio.Event | None, done: asyncio.Event) -> None:
        """The same, once `before` is set; `done` is set when the first round is over, when the loop
        rests first or has ended, at the latest after `FIRST_ROUND_SECONDS`."""
        try:
            if before is not None:
                await before.wait()
            late = asyncio.get_running_loop().call_later(FIRST_ROUND_SECONDS, done.set)
            self._on_first_round = done.set
            self.has_begun = True
            try:
                await self.run()
            finally:
                self.has_begun = False
                late.cancel()
        finally:
            done.set()

    async def attempt(self) -> None:
        """One round of its own, for a start that waits for it; an expected failure is left to the
        rounds to come."""
        rounds = self._open()
        try:
            await self._next(rounds)
        finally:
            await rounds.aclose()

    def finish(self) -> None:
        """Has it end after the round under way, at once if there is none."""
        self._finishing = True
        if self._resting is not None:
            self._resting.cancel()

    async def _next(self, rounds: Rounds) -> bool | None:
        """A round; None if these rounds are over, by a failure or by themselves."""
        try:
            worked = await anext(rounds, None)
        except Exception as error:
            if not (is_unavailable(error) or isinstance(error, self._expected)):
                self._unexpected_failures.inc()
                raise
            self._failed(error)
            return None
        if self._failures:
            log.info("loop_goes_on", loop=self.name, failures=self._failures)
        self._failures = 0
        self._told_type = None
        if worked is not None:
            self._rounds.inc()
            self._last_success.set_to_current_time()
        return worked

    def _failed(self, error: Exception) -> None:
        """Counts each failure, and tells of those that are news."""
        self._expected_failures.inc()
        self._failures += 1
        if self._told_type is not type(error):
            self._told_type = type(error)
            log.warning("loop_failed", loop=self.name, **place_of(error))
        if self._on_expected is not None:
            self._on_expected(error)

    async def _rest(self, token: asyncio.Event) -> None:
        if self._rest_seconds:
            await self._idle(self._rest_seconds)
        await self._idle(self._poll_seconds, token)

    async def _idle(self, seconds: float, token: asyncio.Event | None = None) -> None:
        """Waits where nothing is lost by a cancellation, which is how it is told to finish."""
        if self._finishing:
            return
        self._resting = asyncio.current_task()
        try:
            if token is None:
                await asyncio.sleep(seconds)
            else:
                await Notifier.wait(token, seconds)
        finally:
            self._resting = None


def _nothing() -> None:
    """Nobody waits for the first round."""


def _endless(work: Round) -> Callable[[], Rounds]:
    async def rounds() -> Rounds:
        while True:  # Until the loop closes it.
            yield await work()

    return rounds


@dataclass(frozen=True, slots=True)
class LoopEnded:
    """Which loop has ended by itself, and how: no message of an error, which may name a person."""

    loop: str
    reason: str

    def __str__(self) -> str:
        return f"loop '{self.loop}' ended: {self.reason}"


class Supervisor:
    """Owns the background loops of a process, and tells when one has ended by itself."""

    def __init__(self, on_ended: Callable[[LoopEnded], Awaitable[None]]) -> None:
        """`on_ended` is run once, for the first loop that ends by itself."""
        self._on_ended = on_ended
        self.in_turn = False
        """Whether loops do their first rounds one after the other, in the order in which they are
        started: some thirty at once would open every connection that the pool may have, where two
        or three do."""
        self._loops: dict[asyncio.Task[None], Loop] = {}
        # Set when the first round of the loop that was started last is over.
        self._last_turn: asyncio.Event | None = None
        self._telling: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.stopped_because: LoopEnded | None = None

    async def ended(self) -> LoopEnded:
        """Returns when a loop has ended by itself: the process is no good any more."""
        await self._ended.wait()
        assert self.stopped_because is not None
        return self.stopped_because

    @asynccontextmanager
    async def running(self, *loops: Loop) -> AsyncIterator[None]:
        """Runs the loops for as long as the block does."""
        tasks = [self.start(loop) for loop in loops]
        try:
            yield
        finally:
            await self.stop(*tasks)

    def start(self, loop: Loop) -> asyncio.Task[None]:
        """Runs a loop until `stop`."""
        before, done = self._last_turn if self.in_turn else None, asyncio.Event()
        task = asyncio.create_task(loop.run_in_turn(before, done), name=loop.name)
        self._last_turn = done
        self._loops[task] = loop
        task.add_done_callback(self._done)
        return task

    async def stop(self, *tasks: asyncio.Task[None]) -> None:
        """Ends loops: a round under way is cut off unless its loop has time to finish it."""
        stopped = {task: self._loops.pop(task) for task in tasks if task in self._loops}
        finishing = {
            task: loop for task, loop in stopped.items() if loop.finish_seconds and loop.has_begun
        }
        for loop in finishing.values():
            loop.finish()
        at_once = cancel(*(task for task in stopped if task not in finishing))
        await asyncio.gather(at_once, *(_finish(task, loop) for task, loop in finishing.items()))
        for task, loop in stopped.items():
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("loop_failed_while_stopping", loop=loop.name, **place_of(error))

    def _done(self, task: asyncio.Task[None]) -> None:
        loop = self._loops.pop(task, None)
        if loop is None:
            return  # It was stopped.
        error = None if task.cancelled() else task.exception()
        place = {} if error is None else place_of(error)
        ended = LoopEnded(loop.name, _reason(task, place))
        log.critical("loop_ended", loop=ended.loop, reason=ended.reason, **place)
        if self.stopped_because is None:
            self.stopped_because = ended
            self._telling = asyncio.create_task(self._tell(ended), name="loop ended")

    async def _tell(self, ended: LoopEnded) -> None:
        try:
            await self._on_ended(ended)
        finally:
            self._ended.set()


async def _finish(task: asyncio.Task[None], loop: Loop) -> None:
    await asyncio.wait([task], timeout=loop.finish_seconds)
    if not task.done():
        log.warning("loop_cut_off", loop=loop.name, seconds=loop.finish_seconds)
    await cancel(task)


def _reason(task: asyncio.Task[None], place: dict[str, object]) -> str:
    if task.cancelled():
        return "it was cancelled"
    if not place:
        return "it returned"
    places = place["places"]
    assert isinstance(places, list)
    return f"{place['error_type']} at {places[-1] if places else 'an unknown place'}"
