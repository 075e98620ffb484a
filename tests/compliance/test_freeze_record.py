"""What becomes of forecasts: what is told of each look, and what counts as right and wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.forecast.record import (
    DRIFT,
    Change,
    Episode,
    Freeze,
    Outcome,
    figures,
    is_false,
    step,
)
from compliance.forecast.rules import UNDATED, Cause, Forecast, Ground, Kind, Uncertainty

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
KIND = Kind.PAYOUTS


def forecast(expected: datetime, *fields: str, alarm: bool = False) -> Forecast:
    causes = tuple(
        Cause(Ground.UNANSWERED, name, expected, expected + 14 * DAY, 1.0, (), (), False, "")
        for name in fields or ("a",)
    )
    return Forecast(
        KIND, expected, expected + 14 * DAY, expected - 3 * DAY, 1.0, is_alarm=alarm, causes=causes
    )


def play(*looks: Forecast | str | None) -> tuple[Episode | None, list[Change | None]]:
    """A look a day; "stop" is a freeze."""
    episode: Episode | None = None
    told = []
    for day, look in enumerate(looks):
        stopped = look == "stop"
        found = look if isinstance(look, Forecast) else None
        episode, change = step(episode, found, KIND, stopped=stopped, as_of=START + day * DAY)
        told.append(change)
    return episode, told


FAR = START + 60 * DAY


def test_a_forecast_appears_worsens_eases_and_clears() -> None:
    episode, told = play(
        forecast(FAR),
        forecast(FAR),
        forecast(FAR - 20 * DAY),
        forecast(FAR),
        forecast(FAR, alarm=True),
        forecast(FAR),
        forecast(FAR, "a", "b"),
        forecast(FAR, "b"),
        None,
    )
    assert told == [
        Change.APPEARED,
        None,
        Change.WORSENED,
        Change.EASED,
        Change.WORSENED,
        Change.EASED,
        Change.WORSENED,
        Change.EASED,
        Change.CLEARED,
    ]
    assert episode is not None
    assert (episode.outcome, episode.end_time) == (Outcome.CLEARED, START + 8 * DAY)
    assert (episode.alarm_time, episode.was_alarm) == (None, True)


@pytest.mark.parametrize(
    ("left", "moved", "change"),
    [
        (60 * DAY, -6 * DAY, Change.WORSENED),
        (60 * DAY, -6 * DAY + MOMENT, None),
        (60 * DAY, 6 * DAY, Change.EASED),
        (60 * DAY, 6 * DAY - MOMENT, None),
        (5 * DAY, -DRIFT, Change.WORSENED),
        (5 * DAY, -DRIFT + MOMENT, None),
    ],
)
def test_drift_is_not_told(left: timedelta, moved: timedelta, change: Change | None) -> None:
    first, _ = step(None, forecast(START + left), KIND, stopped=False, as_of=START)
    after, told = step(first, forecast(START + left + moved), KIND, stopped=False, as_of=START)
    assert told is change
    assert after is not None
    if change is None:
        assert after == first
    else:
        assert after.told.expected_time == START + left + moved


def test_drift_adds_up_until_it_is_told() -> None:
    """It is measured from what was told, not from the look before."""
    looks = [forecast(FAR - n * timedelta(hours=12)) for n in range(20)]
    _, told = play(*looks)
    assert Change.WORSENED in told


def test_a_freeze_ends_the_episode_and_keeps_since_when_the_alarm_stood() -> None:
    episode, told = play(
        forecast(FAR), forecast(FAR, alarm=True), forecast(FAR, alarm=True), "stop"
    )
    assert told[-1] is Change.FROZE
    assert episode is not None
    assert (episode.outcome, episode.alarm_time) == (Outcome.FROZE, START + DAY)
    assert play("stop") == (None, [None])
    assert play(None) == (None, [None])


def freeze(alarm: timedelta | None, reason: str = "requirements.past_due") -> Freeze:
    return Freeze(KIND, FAR, reason, None if alarm is None else FAR - alarm)


def ended(outcome: Outcome, *, alarm: bool = True, late: bool = False) -> Episode:
    found = forecast(START + DAY, alarm=alarm)
    end = None if outcome is Outcome.OPEN else found.latest_time + (MOMENT if late else -MOMENT)
    return Episode(
        kind=KIND,
        appear_time=START,
        told=found,
        alarm_time=START if alarm else None,
        was_alarm=alarm,
        latest_time=found.latest_time,
        outcome=outcome,
        end_time=end,
    )


def test_the_figures() -> None:
    stops = [freeze(10 * DAY), freeze(6 * DAY), freeze(None), freeze(None, "rejected.fraud")]
    episodes = [
        ended(Outcome.FROZE),
        ended(Outcome.FROZE, late=True),
        ended(Outcome.CLEARED),
        ended(Outcome.CLEARED, late=True),
        ended(Outcome.CLEARED, alarm=False),
        ended(Outcome.OPEN),
    ]
    as_of = START + 15 * DAY
    found = figures(stops, episodes, as_of)
    assert (found.freezes, found.foreseen, found.unforeseeable) == (4, 2, 1)
    assert (found.alarms, found.averted, found.false, found.open) == (5, 1, 1, 1)
    assert found.median_lead == 8 * DAY
    assert found.recall == pytest.approx(0.5)
    assert found.precision == pytest.approx(2 / 3)
    assert figures(stops, episodes, as_of + MOMENT).false == 2


def test_nothing_counted_has_no_shares() -> None:
    found = figures([], [], START)
    assert (found.recall, found.precision, found.median_lead) == (None, None, None)


def test_an_alarm_is_false_once_its_latest_moment_has_passed_and_right_if_it_comes_true() -> None:
    episode = ended(Outcome.OPEN)
    assert not is_false(episode, episode.latest_time)
    assert is_false(episode, episode.latest_time + MOMENT)
    assert not is_false(replace(episode, outcome=Outcome.FROZE), episode.latest_time + DAY)
    assert not is_false(replace(episode, alarm_time=None), episode.latest_time + DAY)


_LOOKS = st.one_of(
    st.none(),
    st.builds(
        lambda days, fields, alarm: forecast(START + days * DAY, *sorted(fields), alarm=alarm),
        st.integers(-10, 90),
        st.sets(st.sampled_from("abc")),
        st.booleans(),
    ),
    st.just("stop"),
)


@given(st.lists(_LOOKS, max_size=20))
def test_every_course_of_looks_keeps_its_alarm_and_its_words_together(
    looks: list[Forecast | str | None],
) -> None:
    episode: Episode | None = None
    seen: list[Episode] = []
    for day, look in enumerate(looks):
        found = look if isinstance(look, Forecast) else None
        stopped = look == "stop"
        now = START + day * DAY
        after, change = step(episode, found, KIND, stopped=stopped, as_of=now)
        assert (change is Change.FROZE) == (stopped and episode is not None)
        assert (change is Change.APPEARED) == (episode is None and found is not None)
        assert (change is Change.CLEARED) == (episode is not None and found is None and not stopped)
        if change is None:
            assert after == episode
        if after is not None and after.outcome is Outcome.OPEN:
            assert (after.alarm_time is not None) == after.told.is_alarm
            assert found is not None
            # Whether it is an alarm is never drift.
            assert after.told.is_alarm == found.is_alarm
        if after is not None:
            seen.append(after)
        episode = None if after is None or after.end_time is not None else after
    for earlier, later in pairwise(seen):
        if earlier.appear_time == later.appear_time:
            assert later.was_alarm >= earlier.was_alarm


UNKNOWN = Forecast(
    KIND, UNDATED, UNDATED, UNDATED, 0.0, False, (), uncertainty=Uncertainty.TRUNCATED
)


def test_what_becomes_uncertain_is_worse_and_what_is_certain_again_is_better() -> None:
    hazy = replace(forecast(FAR), uncertainty=Uncertainty.TRUNCATED)
    _, told = play(forecast(FAR), hazy, hazy, forecast(FAR))
    assert told == [Change.APPEARED, Change.WORSENED, None, Change.EASED]
    # Without a moment from the first, then with one, and seen to be nothing in the end.
    episode, told = play(UNKNOWN, UNKNOWN, hazy, UNKNOWN, None)
    assert told == [Change.APPEARED, None, Change.WORSENED, Change.EASED, Change.CLEARED]
    assert episode is not None
    assert not episode.was_alarm


def test_a_forecast_without_a_moment_is_neither_right_nor_wrong() -> None:
    episode, _ = step(None, UNKNOWN, KIND, stopped=False, as_of=START)
    assert episode is not None
    assert not is_false(episode, START + 3_000 * DAY)
    assert figures([], [episode], START).alarms == 0
