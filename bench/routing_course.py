"""What is played on the real engine to see what routing is worth to payments, and what came of it:
two corridors of the corridor simulator, as courses that the Stripe twin's accounts follow."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.demo.drive import Paid
from sandbox.simulators.corridors.world import Settings, make_world
from sandbox.simulators.courses import course_of_corridor
from sandbox.stripe_twin.courses import Course, Point

# A simulated minute passes in about two seconds (`one_loop_course.py`).
SLOWER = 2.0
PATIENCE_SECONDS = 12.0 / SLOWER
SLOW_SECONDS = 4.0 / SLOWER
TIMEOUT_SECONDS = 6.0 / SLOWER
PAYMENTS_A_MINUTE = 15
MINUTES = 60
STEP_S = 300.0
HOME, OTHER = "default", "backup"
CARDS = ("visa", "mastercard", "amex")
SUCCEEDED, DECLINED = "SUCCEEDED", "DECLINED"


@dataclass(frozen=True, slots=True)
class Hour:
    """What both accounts follow, from the first minute that is played."""

    courses: Mapping[str, Course]

    def success(self, account: str, minute: int) -> float:
        """How likely a payment is approved at an account at the first attempt."""
        return success_of(point_at(self.courses[account], minute * 60.0))

    def best(self, minute: int) -> float:
        """The same at whichever account is better then."""
        return max(self.success(account, minute) for account in self.courses)


def success_of(point: Point) -> float:
    """How likely a charge is answered, and approved."""
    answered = 1.0 - point.rate_limited - point.errors - point.timeouts
    return answered * (1.0 - sum(point.declines.values()))


def point_at(course: Course, seconds: float) -> Point:
    """The point that counts so long after the beginning."""
    place = bisect_right(course.points, seconds, key=lambda point: point.at_seconds)
    return course.points[max(place - 1, 0)]


def hour_of(seed: int) -> Hour:
    """Two corridors of the simulated world of a seed, in the hour in which an oracle would gain
    most. Payments belong to the corridor that operators would have named first."""
    world = make_world(seed, Settings(corridors=2))
    home = int(world.usual_approval.mean(axis=0).argmax())
    whole = {
        account: course_of_corridor(
            world, corridor, step_s=STEP_S, slower=SLOWER, hang_seconds=60.0 / SLOWER
        )
        for account, corridor in ((HOME, home), (OTHER, 1 - home))
    }
    begin_s = begins(Hour(whole), world.settings.length_s)
    return Hour({account: cut(course, begin_s) for account, course in whole.items()})


def begins(whole: Hour, length_s: float) -> float:
    """When that hour begins, in seconds of the simulated time; the first of equals."""
    steps = range(int(length_s / STEP_S))
    minutes = [int(step * STEP_S / 60.0) for step in steps]
    gains = [whole.best(minute) - whole.success(HOME, minute) for minute in minutes]
    of_an_hour = int(MINUTES * 60.0 / STEP_S)
    starts = range(len(gains) - of_an_hour + 1)
    return STEP_S * max(starts, key=lambda start: math.fsum(gains[start : start + of_an_hour]))


def cut(course: Course, begin_s: float) -> Course:
    """What counts from a time on, for as long as it is played."""
    end_s = begin_s + MINUTES * 60.0
    later = [point for point in course.points if begin_s < point.at_seconds < end_s]
    kept = [
        point.model_copy(update={"at_seconds": max(point.at_seconds - begin_s, 0.0)})
        for point in (point_at(course, begin_s), *later)
    ]
    return course.model_copy(update={"points": kept})


@dataclass
class Run:
    """How one way of running the engine went."""

    name: str
    paid: list[tuple[int, Paid]] = field(default_factory=list)
    decided: int = 0
    """Payments that routing decided about."""

    @property
    def approved(self) -> int:
        """Payments that were approved."""
        return sum(paid.answer == SUCCEEDED for _, paid in self.paid)

    @property
    def moved(self) -> int:
        """Payments that were charged at last where they do not belong."""
        return sum(paid.corridor == OTHER for _, paid in self.paid)

    def figures(self) -> dict[str, Any]:
        """For the line of the benchmark."""
        answers = Counter(paid.answer for _, paid in self.paid)
        return {
            "payments": len(self.paid),
            "approved": self.approved,
            "decided": self.decided,
            "moved": self.moved,
            "slowed": sum(paid.seconds > SLOW_SECONDS for _, paid in self.paid),
            "answers": dict(sorted(answers.items())),
        }


def expected(chances: Sequence[float]) -> float:
    """Approvals of as many payments a minute as are played, by each minute's chance."""
    return PAYMENTS_A_MINUTE * sum(chances)
