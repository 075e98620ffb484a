"""An alarm is written down with what it foresaw, and judged by what came."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.foresight.actions import NEUTRAL, Bounds, Posture
from gateway.foresight.alarm import Change
from gateway.foresight.forecast import Evidence, Forecast
from gateway.foresight.incident import (
    LEAST_BREACH_MOVED_MINUTES,
    LEAST_MINUTES_BETWEEN_UPDATES,
    LEAST_PROBABILITY_MOVED,
    Incident,
    IncidentChange,
    IncidentState,
    abandoned,
    follow,
    tell,
    told_of,
)
from gateway.foresight.objective import Part
from gateway.foresight.record import (
    LEAST_LEAD_MINUTES,
    MOST_LEAD_MINUTES,
    figures,
    random_right,
    random_warned,
)
from gateway.foresight.signals import MINUTES_A_WEEK

BOUNDS = Bounds(most_discount=0.4)
TREATED = Posture(0.2, 0.8, incident=True)


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
    lost = abandoned(late, 12, BOUNDS)
    assert (lost.state, lost.end_minute, lost.state.is_open) == (IncidentState.ABANDONED, 12, False)
    assert lost.telling is not None
    assert (lost.telling.change, lost.telling.posture) == (IncidentChange.CLOSED, NEUTRAL)
    assert not lost.telling.foreseen


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


def told(*minutes: tuple[Forecast, Change], acts: bool = True) -> Iterator[tuple[str | None, int]]:
    """What each minute tells of an incident, and of which minute what was told last is."""
    incident: Incident | None = None
    for seen, change in minutes:
        before: Incident | None
        before, incident = incident, follow(incident, change, seen, acts=acts)
        if incident is None:
            continue
        last = before.telling if before is not None else None
        incident = tell(before, incident, seen, TREATED, BOUNDS)
        assert incident.telling is not None
        is_new = incident.telling != last
        yield (incident.telling.change if is_new else None, incident.telling.minute)


def test_each_change_is_told_once_with_what_was_foreseen_then() -> None:
    broken, calm = [forecast(20, broken=True), forecast(21, broken=True)], forecast(40)
    minutes = [
        (forecast(10), Change.RAISED),
        (forecast(11), Change.NONE),
        *((each, Change.NONE) for each in broken),
        (calm, Change.CLEARED),
        (forecast(41), Change.NONE),
        (forecast(42, broken=True), Change.RAISED),
    ]
    assert list(told(*minutes)) == [
        (IncidentChange.OPENED, 10),
        (None, 10),
        (IncidentChange.BROKEN, 20),
        (None, 20),
        (IncidentChange.CLOSED, 40),
        # What is broken when the alarm is raised breaks no more.
        (IncidentChange.OPENED, 42),
    ]
    opened = follow(None, Change.RAISED, forecast(10), acts=True)
    assert opened is not None
    telling = tell(None, opened, forecast(10), TREATED, BOUNDS).telling
    assert telling is not None
    assert telling.foreseen == told_of(forecast(10))
    assert (telling.posture, telling.bounds) == (TREATED, BOUNDS)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("after", "by", "is_told"),
    [
        (LEAST_MINUTES_BETWEEN_UPDATES, LEAST_PROBABILITY_MOVED, True),
        (LEAST_MINUTES_BETWEEN_UPDATES - 1, LEAST_PROBABILITY_MOVED, False),
        (LEAST_MINUTES_BETWEEN_UPDATES, LEAST_PROBABILITY_MOVED - 0.001, False),
    ],
)
def test_a_forecast_that_has_moved_far_enough_is_told_after_a_while(
    after: int, by: float, is_told: bool, sign: int
) -> None:
    seen = forecast(10 + after)
    # In binary a difference may be a hair less than it is.
    moved = 0.5 + sign * (by + 1e-9)
    seen = replace(seen, probabilities=(0.25, moved, 0.75), minutes_to_breach=None)
    _, second = told((forecast(10), Change.RAISED), (seen, Change.NONE))
    assert second[0] == (IncidentChange.UPDATED if is_told else None)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("short_of", [0.0, 0.2])
def test_a_breach_that_is_expected_at_another_time_is_told(short_of: float, sign: int) -> None:
    first = replace(forecast(10), minutes_to_breach=25.0)
    at = 10 + 25.0 + sign * (LEAST_BREACH_MOVED_MINUTES - short_of)
    seen = replace(forecast(16), minutes_to_breach=at - 16)
    _, second = told((first, Change.RAISED), (seen, Change.NONE))
    assert second[0] == (None if short_of else IncidentChange.UPDATED)


def test_that_something_may_be_done_is_told_at_once() -> None:
    opened = follow(None, Change.RAISED, forecast(10), acts=False)
    assert opened is not None
    # One that a release before has opened was told nothing but what it foresaw.
    later = follow(opened, Change.NONE, forecast(11), acts=False)
    assert later is not None
    assert tell(opened, later, forecast(11), TREATED, BOUNDS).telling is None
    acting = follow(opened, Change.NONE, forecast(11), acts=True)
    assert acting is not None
    telling = tell(opened, acting, forecast(11), TREATED, BOUNDS).telling
    assert telling is not None
    assert telling.change is IncidentChange.UPDATED


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
