"""An open loop: calls that arrive as a Poisson process, whether or not the last one is answered.

Each latency counts from when its call was due, not from when it was sent, so that a server that
stalls is charged for everybody who came meanwhile (no "coordinated omission").
"""

import asyncio
import itertools
import random
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

Request = TypeVar("Request")


class Arrivals(NamedTuple):
    """What became of an open loop: seconds from due to answered, and from due to sent."""

    latencies: list[float]
    lateness: list[float]
    answers: list[Any]

    def percentile_ms(self, percent: float) -> float:
        """Milliseconds within which so many percent of the calls were answered."""
        return percentile(self.latencies, percent) * 1_000


async def arrive(
    call: Callable[[Request], Awaitable[Any]],
    requests: Sequence[Request],
    *,
    per_second: float,
    seed: int,
) -> Arrivals:
    """Sends the requests at random moments, so many a second on average.

    The first call that fails ends the loop with its error. Calls in flight have no bound but the
    number of requests.
    """
    intervals = random.Random(seed)
    dues = list(itertools.accumulate(intervals.expovariate(per_second) for _ in requests))
    arrivals = Arrivals([], [], [])
    loop = asyncio.get_running_loop()
    # Some time to get ready, so that the first call is not late.
    begin = time.perf_counter() + 0.1

    async def one(request: Request, due: float) -> None:
        arrivals.lateness.append(time.perf_counter() - due)
        arrivals.answers.append(await call(request))
        arrivals.latencies.append(time.perf_counter() - due)

    def spawn(request: Request, due: float) -> None:
        group.create_task(one(request, due))

    def keep_time() -> None:
        # A thread, because the timers of an event loop are only exact to the millisecond.
        for request, offset in zip(requests, dues, strict=True):
            due = begin + offset
            if given_up.wait(max(0.0, due - time.perf_counter())):
                return
            loop.call_soon_threadsafe(spawn, request, due)

    given_up = threading.Event()
    try:
        async with asyncio.TaskGroup() as group:
            await asyncio.to_thread(keep_time)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    finally:
        given_up.set()
    return arrivals


def percentile(seconds: Sequence[float], percent: float) -> float:
    """The smallest figure that so many percent of all are not above."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median_percentile_ms(passes: Sequence[Arrivals], percent: float) -> float:
    """The median over several passes, in milliseconds."""
    return round(statistics.median(taken.percentile_ms(percent) for taken in passes), 2)
