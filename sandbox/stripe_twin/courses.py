"""How an account does by a schedule: minute after minute another latency, other technical failures,
other declines of issuers, another lag of webhooks.

A course says what is likely from each of its points on, in the twin's time; what becomes of a
request, or of a charge, is drawn by a random sequence of the course's seed and the account's name:
the same requests in the same order suffer the same again. Simulators write courses
(`sandbox/simulators/courses.py`), so that the real engine is driven through what they simulate.
"""

import asyncio
import math
import random
from bisect import bisect_right
from collections.abc import Callable
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.stripe_twin.cards import DECLINES, Decline
from sandbox.stripe_twin.faults import MAX_LATENCY_SECONDS

# A fortnight of minutes.
MAX_POINTS = 20_160
MAX_HANG_SECONDS = 900.0
# How many standard deviations the 95th percentile of a normal is from its median.
NORMAL_P95 = 1.6448536269514722

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Milliseconds = Annotated[float, Field(ge=0.0, le=MAX_LATENCY_SECONDS * 1_000)]


class Point(BaseModel):
    """What is so from `at_seconds` after the course's beginning until the next point.

    Latencies are log-normal by their median and 95th percentile. Of all requests the shares
    `rate_limited`, `errors` and `timeouts` fail, at most 1 together. `declines` are shares of the
    charges that would be approved, by decline code; the customer's card has its say first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_seconds: float = Field(ge=0.0)
    latency_p50_ms: Milliseconds = 0.0
    latency_p95_ms: Milliseconds = 0.0
    rate_limited: Share = 0.0
    errors: Share = 0.0
    timeouts: Share = 0.0
    declines: dict[str, Share] = {}
    webhook_lag_seconds: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.latency_p95_ms < self.latency_p50_ms:
            raise ValueError("latency_p95_ms is below latency_p50_ms")
        if self.latency_p95_ms and not self.latency_p50_ms:
            raise ValueError("latency_p50_ms is 0 and latency_p95_ms is not")
        for name, shares in (
            ("rate_limited, errors and timeouts", (self.rate_limited, self.errors, self.timeouts)),
            ("declines", self.declines.values()),
        ):
            if math.fsum(shares) > 1.0:
                raise ValueError(f"{name} are more than all")
        if unknown := sorted(set(self.declines) - set(DECLINES)):
            raise ValueError(f"no decline {', '.join(unknown)}")
        return self

    def latency_seconds(self, deviations: float) -> float:
        """The latency so many standard deviations from the median."""
        if not self.latency_p50_ms:
            return 0.0
        spread = math.log(self.latency_p95_ms / self.latency_p50_ms) / NORMAL_P95
        latency = self.latency_p50_ms / 1_000 * math.exp(spread * deviations)
        return min(latency, MAX_LATENCY_SECONDS)


class Course(BaseModel):
    """Points in order; before the first all is well, the last one stays.

    `hang_seconds` is how long a request that times out is held before its connection is cut;
    Stripe has acted by then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    points: list[Point] = Field(min_length=1, max_length=MAX_POINTS)
    hang_seconds: float = Field(default=60.0, gt=0.0, le=MAX_HANG_SECONDS)

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        for before, after in pairwise(self.points):
            if after.at_seconds <= before.at_seconds:
                raise ValueError(f"a point at {after.at_seconds} is not after the one before it")
        return self


class Ending(StrEnum):
    """What becomes of a request."""

    ANSWERED = "answered"
    RATE_LIMITED = "rate_limited"
    ERROR = "error"
    TIMED_OUT = "timed_out"


class ActiveCourse:
    """A course that an account follows since it was set; `now` is the twin's time in seconds."""

    def __init__(self, course: Course, account: str, now: Callable[[], float]) -> None:
        self.course = course
        self.begins = now()
        self._now = now
        self._starts = [point.at_seconds for point in course.points]
        # Apart, so that what charges come to does not depend on what else is asked.
        self._requests = random.Random(f"{course.seed}/{account}/requests")
        self._charges = random.Random(f"{course.seed}/{account}/charges")
        self._over = asyncio.Event()

    def point(self) -> Point | None:
        """What is so now; None before the first point."""
        index = bisect_right(self._starts, self._now() - self.begins)
        return self.course.points[index - 1] if index else None

    def draw(self) -> tuple[Ending, float]:
        """What becomes of a request, and after how many seconds. Draws the same numbers whatever
        comes of them."""
        chance, deviations = self._requests.random(), self._requests.gauss()
        point = self.point()
        if point is None:
            return Ending.ANSWERED, 0.0
        latency = point.latency_seconds(deviations)
        for share, ending in (
            (point.rate_limited, Ending.RATE_LIMITED),
            (point.errors, Ending.ERROR),
            (point.timeouts, Ending.TIMED_OUT),
        ):
            if chance < share:
                return ending, 0.0 if ending is Ending.RATE_LIMITED else latency
            chance -= share
        return Ending.ANSWERED, latency

    def decline(self) -> Decline | None:
        """How the issuer answers a charge that its card would pay; None if it approves."""
        chance, point = self._charges.random(), self.point()
        for code, share in sorted(point.declines.items()) if point is not None else ():
            if chance < share:
                return DECLINES[code]
            chance -= share
        return None

    @property
    def webhook_lag_seconds(self) -> float:
        """How much later than usual an event of now is sent."""
        point = self.point()
        return 0.0 if point is None else point.webhook_lag_seconds

    def end(self) -> None:
        """It is replaced or taken away: what hangs on it is cut."""
        self._over.set()

    async def hang(self) -> None:
        """Holds a request that times out."""
        try:
            async with asyncio.timeout(self.course.hang_seconds):
                await self._over.wait()
        except TimeoutError:
            return
