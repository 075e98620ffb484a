"""What is counted of the hour that foresight.end_to_end plays, and that it can be drawn."""

from collections.abc import Mapping
from xml.etree import ElementTree

import pytest

from bench.one_loop_course import (
    CALM_MINUTES,
    LIMIT_MS,
    MINUTES,
    SICK,
    SLOW_SECONDS,
    WELL,
    Run,
    Told,
    charged_once,
    courses,
)
from bench.one_loop_plot import draw
from sandbox.demo.drive import Paid
from sandbox.stripe_twin.courses import Course


def paid(minute: int, answer: str, seconds: float = 0.1, corridor: str = SICK) -> tuple[int, Paid]:
    return minute, Paid(29_934_400 + minute, answer, seconds, corridor, "pay_1")


RUN = Run(
    "and foresight",
    paid=[
        paid(0, "SUCCEEDED"),
        paid(0, "DECLINED", SLOW_SECONDS),
        paid(1, "SUCCEEDED", SLOW_SECONDS + 0.01),
        paid(1, "UNAVAILABLE", corridor=""),
        paid(1, "SUCCEEDED", corridor=WELL),
        paid(1, "DEADLINE_EXCEEDED", 3.0),
        paid(2, "FAILED", corridor=""),
    ],
    told=[
        Told(0, 0.01, 0.0, alarm=False, broken=False),
        Told(1, 0.4, 0.1, alarm=True, broken=False),
        Told(2, 1.0, 0.5, alarm=True, broken=True),
    ],
)


@pytest.fixture(scope="module")
def made() -> Mapping[str, Course]:
    return courses(1)


def test_who_was_not_told_in_time_is_lost_and_who_waited_is_late() -> None:
    assert [RUN.lost(minute) for minute in range(3)] == [0, 2, 1]
    assert [RUN.slowed(minute) for minute in range(3)] == [0, 1, 0]
    assert (RUN.lost(), RUN.slowed()) == (3, 1)
    assert [RUN.stayed(minute) for minute in range(3)] == [1.0, pytest.approx(2 / 3), 1.0]
    assert (RUN.alarm_minute, RUN.broken_minute) == (1, 2)
    assert RUN.figures()["approved"] == 3
    assert Run("nobody").figures() == {
        "payments": 0, "approved": 0, "lost": 0, "slowed": 0, "answers": {},
    }  # fmt: skip


def test_the_courses_are_calm_rise_to_the_limit_and_fail(made: Mapping[str, Course]) -> None:
    sick, well = made[SICK].points, made[WELL].points
    assert len(sick) == len(well) == MINUTES
    assert all(point.latency_p95_ms < LIMIT_MS / 2 for point in sick[:CALM_MINUTES])
    assert all(point.latency_p95_ms < LIMIT_MS / 2 for point in well)
    assert max(point.timeouts for point in sick) > 0.4
    assert max(point.timeouts for point in well) < 0.1
    assert sick[-1].latency_p95_ms < LIMIT_MS / 2


def test_the_hour_is_drawn(made: Mapping[str, Course]) -> None:
    drawn = ElementTree.fromstring(draw([RUN, RUN], made[SICK]))
    words = [each.text or "" for each in drawn.iter() if each.tag.endswith(("text", "tspan"))]
    assert words.count("alarm") == words.count("objective broken") == 5
    assert "and foresight: 4" in words


def test_no_name_of_a_curve_stands_among_the_curves(made: Mapping[str, Course]) -> None:
    drawn = ElementTree.fromstring(draw([RUN], made[SICK]))
    frames = [
        (float(each.attrib["y"]), float(each.attrib["y"]) + float(each.attrib["height"]))
        for each in drawn.iter()
        if each.tag.endswith("rect") and "y" in each.attrib
    ]
    of_names = [float(each.attrib["y"]) for each in drawn.iter() if each.findall("{*}tspan")]
    assert len(frames) == len(of_names) == 5
    assert not any(top <= y <= bottom for y in of_names for top, bottom in frames)


def test_two_charges_of_one_payment_are_noticed() -> None:
    def intent(payment_id: str, status: str = "succeeded") -> dict[str, object]:
        return {"metadata": {"engine_payment_id": payment_id}, "status": status}

    first = {"payment_intents": [intent("pay_1"), intent("pay_2", "canceled")]}
    assert charged_once([first, {"payment_intents": [intent("pay_2")]}])
    assert not charged_once([first, {"payment_intents": [intent("pay_1")]}])
