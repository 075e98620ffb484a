"""Reading minutes: smoothing by an independent model, what is usual, gaps, and what is calm.

The independent model sums the weights of exponential smoothing instead of carrying them on. It
catches each of the changes named in `MUTATIONS`.
"""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.foresight import reading, usual
from gateway.foresight.objective import Objective
from gateway.foresight.reading import (
    FEATURES,
    MAX_GAP_MINUTES,
    MAX_UNTAUGHT_MINUTES,
    MEMORIES,
    State,
    read,
)
from gateway.foresight.signals import Minute
from gateway.foresight.usual import CLIP, LATENCY, LEAST_VISITS, ROWS, SIGNALS, Usual, evened, learn

LIMITS = Objective()
START = 29_630_880


def minute(at: int, latency: float | None = 500.0, calls: int = 100, **told: float) -> Minute:
    return Minute(START + at, calls, latency_p95_ms=latency, webhook_lag_s=5.0, **told)  # type: ignore[arg-type]


def taught(minutes: int = 600) -> State:
    """A corridor that has seen nothing but health."""
    state = State()
    for at in range(minutes):
        state, _ = read(state, minute(at), LIMITS)
    return state


TAUGHT = taught()


def weights_summed(severities: list[float], memory: float, *, twice: bool) -> float:
    """Single or double exponential smoothing as one sum over the past, from a start at 0."""
    keep = 1 - 1 / memory
    total = 0.0
    for age, severity in enumerate(reversed(severities)):
        weight = keep**age / memory
        total += severity * weight * ((age + 1) / memory if twice else 1)
    return total


def judge(severities: list[float]) -> None:
    """Feeds latencies of such severities and compares the smoothings with sums over the past."""
    state, at = TAUGHT, 600
    usual_position = math.exp((state.usual.expected(START + at) or ())[LATENCY]) / 2_500
    told = []
    for severity in severities:
        position = usual_position + severity * (1 - usual_position)
        before = state.usual.expected(START + at)
        assert before is not None
        now = math.exp(before[LATENCY]) / 2_500
        state, found = read(state, minute(at, position * 2_500), LIMITS)
        told.append((position - now) / (1 - now))
        at += 1
        assert found.parts[0].last == pytest.approx(told[-1], abs=1e-9)
    smoothed = state.parts[0]
    for index, memory in enumerate(MEMORIES):
        assert smoothed.once[index] == pytest.approx(
            weights_summed(told, memory, twice=False), abs=0.02
        )
        assert smoothed.twice[index] == pytest.approx(
            weights_summed(told, memory, twice=True), abs=0.02
        )
    assert smoothed.highest >= max(0.0, 2 * smoothed.once[0] - smoothed.twice[0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 2), min_size=1, max_size=40))
def test_smoothing_is_a_sum_over_the_past(severities: list[float]) -> None:
    judge(severities)


COURSE = [0.0, 0.3, 0.5, 0.9, 1.2, 1.4, 0.2, 0.1, 0.8, 0.8, 0.9, 1.0]
MUTATIONS: dict[str, tuple[Any, str, Any]] = {
    "the fast smoothing forgets faster": (reading, "FIRST", 0.5),
    "the slow smoothing remembers longer": (reading, "THIRD", 1 / 60),
    "the middle smoothing is the fast one": (reading, "SECOND", 1 / 3),
    "severity is cut at the limit": (reading, "MOST_SEVERITY", 1.0),
    "a corridor has the whole limit for room": (reading, "_room", lambda _: 1.0),
    "trouble teaches what is usual": (reading, "MAX_UNTAUGHT_MINUTES", 0),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_independent_model_catches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, value = MUTATIONS[name]
    course = COURSE if name != "trouble teaches what is usual" else [1.0] * 40
    judge(course)
    monkeypatch.setattr(owner, attribute, value)
    if name == "trouble teaches what is usual":
        # Levels then follow the fault, so that the same latency comes to less and less.
        monkeypatch.setattr(usual, "ROW_STEP", 1.0)
        state = TAUGHT
        state, first = read(state, minute(600, 2_400), LIMITS)
        for at in range(601, 640):
            state, last = read(state, minute(at, 2_400), LIMITS)
        assert last.parts[0].last < first.parts[0].last - 0.1
        return
    with pytest.raises(AssertionError):
        judge(course)


def test_a_line_is_followed_with_its_slope_and_no_lag() -> None:
    state = TAUGHT
    for step in range(120):
        state, found = read(state, minute(600 + step, 500 + 15 * step), LIMITS)
    named = dict(zip(FEATURES, found.parts[0].features, strict=True))
    # 15 ms a minute are 0.075 of the room of 2,000 ms in ten minutes.
    assert named["slope_10"] == pytest.approx(0.075, rel=0.02)
    assert named["level_10"] == pytest.approx((15 * 119) / 2_000, rel=0.02)
    assert named["ahead_10"] == pytest.approx(named["level_10"] + named["slope_10"])


def test_calm_parts_have_no_features_and_others_all() -> None:
    _, found = read(TAUGHT, minute(600, 2_000), LIMITS)
    assert [part.calm for part in found.parts] == [False, True, True]
    assert [len(part.features) for part in found.parts] == [len(FEATURES), 0, 0]
    assert all(map(math.isfinite, found.parts[0].features))


def test_time_does_not_go_back_and_a_long_gap_begins_anew() -> None:
    state, _ = read(TAUGHT, minute(600, 2_000), LIMITS)
    for at in (600, 599):
        with pytest.raises(ValueError, match=f"minute {START + at} is not after {START + 600}"):
            read(state, minute(at), LIMITS)
    near, _ = read(state, minute(600 + MAX_GAP_MINUTES), LIMITS)
    far, _ = read(state, minute(601 + MAX_GAP_MINUTES), LIMITS)
    assert near.parts[0].once[2] > 0.01
    assert far.parts[0].once[2] == pytest.approx(0.0, abs=1e-3)
    assert far.usual.minutes == state.usual.minutes + 1


def test_a_minute_that_nobody_saw_leaves_levels_where_they_were() -> None:
    state, _ = read(TAUGHT, minute(600, 2_000), LIMITS)
    after, found = read(state, Minute(START + 601, 0), LIMITS)
    assert found.parts[0].last == state.parts[0].last
    # Four minutes are left in the window: three of health and the slow one.
    assert found.parts[0].position == pytest.approx((3 * 500 + 2_000) / 4 / 2_500)
    assert after.fast[LATENCY] == state.fast[LATENCY]


def test_trouble_teaches_nothing_until_it_has_lasted() -> None:
    state = TAUGHT
    for at in range(600, 600 + MAX_UNTAUGHT_MINUTES):
        state, _ = read(state, minute(at, 1_800), LIMITS)
    assert state.usual == TAUGHT.usual
    state, _ = read(state, minute(600 + MAX_UNTAUGHT_MINUTES, 1_800), LIMITS)
    assert state.usual.minutes == TAUGHT.usual.minutes + 1


@given(st.floats(0.0, 1e9), st.floats(1.0, 1e6))
def test_a_spike_teaches_no_more_than_its_clip(spike: float, calls: float) -> None:
    known = TAUGHT.usual
    row = 0
    assert known.visits[row] > LEAST_VISITS
    before = known.rows[row]
    after = learn(known, START, evened(Minute(START, int(calls), latency_p95_ms=spike))).rows[row]
    assert before is not None
    assert after is not None
    for old, new, stray in zip(before, after, known.stray, strict=True):
        assert abs(new - old) <= CLIP * stray + 1e-12


def test_a_row_is_believed_after_some_visits_and_the_other_day_stands_in() -> None:
    monday, saturday, noon = START, START + 5 * 1_440, START + 720
    known = Usual()
    assert known.expected(monday) is None
    for at in range(LEAST_VISITS):
        seen = evened(Minute(monday + at, 100, latency_p95_ms=400.0))
        if at:
            assert known.expected(saturday) == known.level
        known = learn(known, monday + at, seen)
    assert known.expected(monday) == known.rows[0] == known.expected(saturday)
    assert known.expected(noon) == known.level
    assert len(known.rows) == len(known.visits) == ROWS
    assert {len(row) for row in known.rows if row is not None} == {len(SIGNALS)}
