"""What routing.end_to_end plays, and how it is counted."""

import pytest

from bench.routing_course import (
    HOME,
    MINUTES,
    OTHER,
    PAYMENTS_A_MINUTE,
    SLOW_SECONDS,
    Hour,
    Run,
    begins,
    cut,
    expected,
    hour_of,
    success_of,
)
from sandbox.demo.drive import Paid
from sandbox.stripe_twin.courses import Course, Point


def paid(minute: int, answer: str, seconds: float = 0.1, corridor: str = HOME) -> tuple[int, Paid]:
    return minute, Paid(29_934_400 + minute, answer, seconds, corridor, "pay_1")


def test_the_hour_of_a_seed_is_two_courses_that_differ() -> None:
    hour = hour_of(1)
    for course in hour.courses.values():
        assert course.points[0].at_seconds == 0.0
        assert course.points[-1].at_seconds < MINUTES * 60.0
    home = [hour.success(HOME, minute) for minute in range(MINUTES)]
    best = [hour.best(minute) for minute in range(MINUTES)]
    assert best == [max(h, hour.success(OTHER, m)) for m, h in enumerate(home)]
    assert expected(best) > 1.2 * expected(home)


def point(at_seconds: float, declined: float) -> Point:
    return Point(at_seconds=at_seconds, declines={"generic_decline": declined})


def test_it_is_the_hour_in_which_most_can_be_gained() -> None:
    """The other account is better from 02:05 to 03:00 by a little, and from 03:00 on by far."""
    home = Course(seed=1, points=[point(0.0, 0.1), point(7_500.0, 0.2), point(10_800.0, 0.6)])
    other = Course(seed=1, points=[point(0.0, 0.1)])
    whole = Hour({HOME: home, OTHER: other})
    assert begins(whole, 5 * 3_600.0) == 10_800.0
    # With half an hour less of it, the best hour begins before.
    assert begins(whole, 3.5 * 3_600.0) == 9_000.0
    played = cut(home, 9_000.0)
    assert [(p.at_seconds, p.declines) for p in played.points] == [
        (0.0, {"generic_decline": 0.2}),
        (1_800.0, {"generic_decline": 0.6}),
    ]


def test_success_is_of_what_is_answered_and_approved() -> None:
    failing = Point(
        at_seconds=0.0,
        errors=0.1,
        timeouts=0.1,
        declines={"generic_decline": 0.2, "fraudulent": 0.3},
    )
    assert success_of(failing) == pytest.approx(0.8 * 0.5)
    later = failing.model_copy(update={"at_seconds": 60.0, "errors": 0.2, "declines": {}})
    hour = Hour({HOME: Course(seed=1, points=[failing, later])})
    assert [hour.success(HOME, minute) for minute in range(3)] == pytest.approx([0.4, 0.7, 0.7])
    assert expected([0.4, 0.7]) == pytest.approx(PAYMENTS_A_MINUTE * 1.1)


def test_what_came_of_payments() -> None:
    run = Run(
        "routing",
        [
            paid(0, "SUCCEEDED"),
            paid(0, "SUCCEEDED", SLOW_SECONDS + 0.01, OTHER),
            paid(1, "DECLINED", SLOW_SECONDS, OTHER),
            paid(1, "UNAVAILABLE", corridor=""),
        ],
        decided=3,
    )
    assert run.figures() == {
        "payments": 4,
        "approved": 2,
        "decided": 3,
        "moved": 2,
        "slowed": 1,
        "answers": {"DECLINED": 1, "SUCCEEDED": 2, "UNAVAILABLE": 1},
    }
