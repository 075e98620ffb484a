"""An alarm is written down with what it foresaw, and judged by what came."""

import random

import pytest

from gateway.foresight.alarm import Change
from gateway.foresight.forecast import Evidence, Forecast
from gateway.foresight.incident import Incident, IncidentState, abandoned, follow, told_of
from gateway.foresight.objective import Part
from gateway.foresight.record import (
    LEAST_LEAD_MINUTES,
    MOST_LEAD_MINUTES,
    figures,
    random_right,
    random_warned,
)
from gateway.foresight.signals import MINUTES_A_WEEK


def forecast(minute: int, *, broken: bool = False) -> Forecast:
    return Forecast(
        minute,
        (0.25, 0.5, 0.75),
        17.26,
        (Part.FAILURES,) if broken else (),
        Part.LATENCY,
        (Evidence("latency_p95_ms", 5.5, 1.0),),
        (),
    )


def played(*minutes: tuple[int, Change, bool]) -> Incident | None:
    """What is written down of minutes: their number, what became of the alarm, and a breach."""
    incident = None
    for minute, change, broken in minutes:
        incident = follow(incident, change, forecast(minute, broken=broken), acts=True)
    return incident


def test_a_breach_that_was_foreseen_has_a_lead() -> None:
    raised = played((10, Change.RAISED, False))
    assert raised is not None
    assert (raised.state, raised.lead_minutes) == (IncidentState.FORESEEN, None)
    broken = played((10, Change.RAISED, False), (11, Change.NONE, False), (17, Change.NONE, True))
    assert broken is not None
    assert (broken.state, broken.breach_minute, broken.lead_minutes) == (
        *(IncidentState.BROKEN, 17),
        7,
    )
    again = follow(broken, Change.NONE, forecast(18, broken=True), acts=True)
    assert again == broken
    ended = follow(broken, Change.CLEARED, forecast(40), acts=True)
    assert ended is not None
    assert (ended.state, ended.end_minute) == (IncidentState.ENDED, 40)
    assert ended.foreseen == told_of(forecast(10))
    # It is there once, with its end.
    assert follow(ended, Change.NONE, forecast(41), acts=True) is None
    assert follow(ended, Change.RAISED, forecast(41), acts=True) == Incident(
        41, told_of(forecast(41)), acted=True
    )


def test_an_alarm_without_a_breach_has_passed_and_one_that_a_breach_raised_is_late() -> None:
    passed = played((10, Change.RAISED, False), (30, Change.CLEARED, False))
    assert passed is not None
    assert (passed.state, passed.lead_minutes) == (IncidentState.PASSED, None)
    late = played((10, Change.RAISED, True))
    assert late is not None
    assert (late.state, late.lead_minutes) == (IncidentState.BROKEN, 0)
    assert played((10, Change.NONE, True)) is None
    lost = abandoned(late, 12)
    assert (lost.state, lost.end_minute, lost.state.is_open) == (IncidentState.ABANDONED, 12, False)


def test_it_says_whether_anything_was_done() -> None:
    silent = follow(None, Change.RAISED, forecast(10), acts=False)
    assert silent is not None
    assert not silent.acted
    later = follow(silent, Change.NONE, forecast(11), acts=True)
    assert later is not None
    assert later.acted


def test_what_was_foreseen_is_told() -> None:
    assert told_of(forecast(10, broken=True)) == {
        "probabilities": [0.25, 0.5, 0.75],
        "broken": ["failures"],
        "stepped": [],
        "signals": [{"signal": "latency_p95_ms", "deviations": 5.5, "trend": 1.0}],
        "minutes_to_breach": 17.3,
        "part": "latency",
    }


def incident(at: int, lead: int | None, state: IncidentState) -> Incident:
    return Incident(
        at, {}, acted=True, state=state, breach_minute=None if lead is None else at + lead
    )


def test_the_record_tells_warned_late_missed_and_false_apart() -> None:
    ended, passed = IncidentState.ENDED, IncidentState.PASSED
    found = figures(
        [
            incident(1_000, LEAST_LEAD_MINUTES, ended),
            incident(2_000, LEAST_LEAD_MINUTES - 1, ended),
            incident(3_000, 0, ended),
            incident(4_000, 30, IncidentState.BROKEN),
            incident(5_000, None, passed),
            incident(6_000, None, passed),
            incident(7_000, None, IncidentState.ABANDONED),
            incident(8_000, None, IncidentState.FORESEEN),
        ],
        2 * MINUTES_A_WEEK,
    )
    assert (found.alarms, found.breaches, found.warned, found.late, found.missed) == (8, 4, 2, 1, 1)
    assert (found.false, found.abandoned, found.open) == (2, 1, 2)
    assert found.median_lead_minutes == LEAST_LEAD_MINUTES
    assert found.warned_share == 0.5
    assert found.right_share == pytest.approx(0.6)
    assert found.false_a_week == 1.0


def test_of_nothing_there_are_no_shares() -> None:
    found = figures([], 0)
    assert (found.warned_share, found.right_share, found.false_a_week) == (None, None, None)
    assert (found.random_warned, found.random_right, found.median_lead_minutes) == (None,) * 3
    assert figures([], 10).false_a_week == 0
    assert random_warned(3, 0) is None
    assert random_right([], 0) is None
    # More alarms than minutes warn of everything.
    assert random_warned(1, 5) == 1.0


def test_chance_is_as_a_drawing_finds_it() -> None:
    """An independent model: alarms drawn in minutes, each compared with each breach."""
    minutes, breaches, alarms, rounds = 2_000, [300, 320, 1_500], 6, 2_000
    chance = random.Random(5)
    warned = right = 0
    for _ in range(rounds):
        drawn = [chance.randrange(minutes) for _ in range(alarms)]
        warned += sum(
            any(LEAST_LEAD_MINUTES <= breach - at <= MOST_LEAD_MINUTES for at in drawn)
            for breach in breaches
        )
        right += sum(any(0 < b - at <= MOST_LEAD_MINUTES for b in breaches) for at in drawn)
    assert random_warned(alarms, minutes) == pytest.approx(warned / rounds / len(breaches), rel=0.1)
    assert random_right(breaches, minutes) == pytest.approx(right / rounds / alarms, rel=0.1)
