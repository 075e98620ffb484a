"""The twin's time: a base clock plus what tests advanced, and the work that falls due in it.

Everything that Stripe does later (settlement, refunds that fail, expiry of authorisations, webhook
retries) is scheduled here, so that a test moves time instead of sleeping.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import timedelta

from runtime.clock import Clock, SystemClock

# How long the timer sleeps at most before it looks at the base clock again: a base clock that is
# moved by somebody else cannot wake the timer.
LONGEST_NAP_SECONDS = 0.05
# One pass never runs more than this, so that work that schedules itself at once cannot hang the
# twin.
MAX_TASKS_PER_PASS = 100_000


class TwinClock:
    """Tells the twin's time as a Unix time stamp and runs what is due.

    Runs due work when it is advanced, after each request, and by a timer while `run` is going.
    """

    def __init__(self, base: Clock | None = None) -> None:
        self._base: Clock = base or SystemClock()
        self._offset_seconds = 0.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = itertools.count()
        self._scheduled = asyncio.Event()

    def time(self) -> float:
        """Seconds since the epoch, with fractions."""
        return self._base.now().timestamp() + self._offset_seconds

    def now(self) -> int:
        """Whole seconds since the epoch, as Stripe's `created` fields have them."""
        return int(self.time())

    def base_time(self) -> float:
        """Seconds since the epoch without what was advanced: the time that others live in."""
        return self._base.now().timestamp()

    def after(self, delay_seconds: float, task: Callable[[], object]) -> None:
        """Runs `task` once the clock has gone on by `delay_seconds`; 0 means in the next pass."""
        due = self.time() + delay_seconds
        heapq.heappush(self._due, (due, next(self._sequence), task))
        self._scheduled.set()

    def advance(self, step: timedelta) -> None:
        """Moves the clock forward, through each moment at which something is due on the way.

        Raises ValueError for a step backwards: Stripe's clock does not do that.
        """
        if step < timedelta(0):
            raise ValueError("the twin's clock only goes forward")
        target = self._offset_seconds + step.total_seconds()
        while self._due:
            wait = self._due[0][0] - self.time()
            if wait > 0 and self._offset_seconds + wait > target:
                break
            self._offset_seconds += max(wait, 0.0)
            self.run_due()
        self._offset_seconds = max(self._offset_seconds, target)
        self.run_due()

    def run_due(self) -> None:
        """Runs what is due now, in the order of its time, then of its scheduling."""
        if not self._due:
            return
        now = self.time()
        for _ in range(MAX_TASKS_PER_PASS):
            if not self._due or self._due[0][0] > now:
                return
            heapq.heappop(self._due)[2]()
        raise RuntimeError("the twin's clock has too much due at once")

    def pending(self) -> int:
        """How many pieces of work are scheduled."""
        return len(self._due)

    async def run(self) -> None:
        """The timer: runs due work as time goes by, until it is cancelled."""
        while True:
            self.run_due()
            if not self._due:
                self._scheduled.clear()
                await self._scheduled.wait()
                continue
            wait = self._due[0][0] - self.time()
            await asyncio.sleep(min(max(wait, 0.0), LONGEST_NAP_SECONDS))
