"""Forecasts of a seed that nothing was fitted on: calibrated, explained, and remembered."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.foresight import codec, steps
from gateway.foresight.alarm import Alarm, Change
from gateway.foresight.codec import MAX_BYTES, StateError, read_corridor, write_corridor
from gateway.foresight.forecast import MAX_NAMED, Corridor, foresee, minutes_to_breach
from gateway.foresight.model import HORIZONS, built_in_model
from gateway.foresight.objective import PARTS, Objective, Part
from gateway.foresight.reading import PartReading, Reading
from gateway.foresight.signals import Minute
from gateway.foresight.steps import NO_STEPS, find_steps, stayed
from gateway.foresight.usual import SIGNALS
from sandbox.simulators.degradation.faults import Kind
from sandbox.simulators.degradation.world import DAY
from tests.gateway.foresight.conftest import Played

MODEL, LIMITS = built_in_model(), Objective()
LEARNT = 3 * DAY


def test_what_is_broken_is_what_was_broken(played: Played) -> None:
    for index, forecast in enumerate(played.forecasts):
        truth = tuple(p for p, b in zip(PARTS, played.service.broken[index], strict=True) if b)
        assert forecast.broken == truth
        if truth:
            assert set(forecast.probabilities) == {1.0}
            assert forecast.minutes_to_breach == 0


def test_probabilities_are_calibrated_on_a_seed_that_nobody_saw(played: Played) -> None:
    broken = np.asarray(played.service.broken.any(axis=1))
    ahead = [bool(broken[at + 1 : at + 11].any()) for at in range(len(broken))]
    stirs = [
        (forecast.probability, came)
        for at, (forecast, came) in enumerate(zip(played.forecasts, ahead, strict=True))
        if at >= LEARNT and not broken[at] and forecast.part is not None
    ]
    told, came = np.array(stirs).T
    assert len(told) > 500
    assert abs(told.mean() - came.mean()) < 0.04
    likely = told >= 0.3
    assert likely.sum() > 30
    assert came[likely].mean() > 3 * came[~likely].mean()
    assert abs(told[likely].mean() - came[likely].mean()) < 0.2


def test_ramps_are_warned_of_and_health_is_left_alone(played: Played) -> None:
    service = played.service
    ramps = [fault for fault in service.faults if fault.kind is Kind.RAMP]
    breaches = [service.breach(fault) for fault in ramps]
    warned = [played.stands[breach - 5] for breach in breaches if breach is not None]
    assert sum(warned) >= 0.6 * len(warned)
    inside = np.zeros(len(played.stands), dtype=bool)
    for fault in service.faults:
        inside[fault.start_minute : fault.end_minute + 30] = True
    raised = [at for at, change in enumerate(played.changes) if change is Change.RAISED]
    assert sum(not inside[at] for at in raised) <= 2
    assert not any(played.stands[: 2 * DAY])


def test_every_step_is_found_within_two_minutes(played: Played) -> None:
    for fault in played.service.faults:
        if fault.kind is Kind.STEP:
            soon = played.forecasts[fault.start_minute : fault.start_minute + 3]
            assert any(forecast.steps for forecast in soon)


def test_signals_that_say_so_are_named_and_few(played: Played) -> None:
    named = [forecast for forecast in played.forecasts if forecast.evidence]
    assert named
    for forecast in named:
        assert forecast.part is not None
        sizes = [abs(one.deviations) for one in forecast.evidence]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) <= MAX_NAMED
        assert {one.signal for one in forecast.evidence} <= set(SIGNALS)
    certain = [one for one in played.forecasts if one.probability > 0.6 and not one.broken]
    assert sum(bool(one.evidence) for one in certain) >= 0.9 * len(certain)


@given(st.lists(st.floats(0, 1), min_size=len(HORIZONS), max_size=len(HORIZONS)))
def test_the_time_to_a_breach_is_within_the_horizons(chances: list[float]) -> None:
    rising = tuple(sorted(chances))
    found = minutes_to_breach(rising)
    if rising[-1] < 0.1:
        assert found is None
    else:
        assert found is not None
        masses = np.diff([0.0, *rising])
        middles = [5.0, 15.0, 30.0]
        assert found == pytest.approx(float(masses @ middles) / rising[-1])
        assert 5 - 1e-9 <= found <= 30 + 1e-9


def reading(severities: list[float]) -> list[Reading]:
    calm = PartReading(0.0, 0.0, 0.0, True, ())
    return [
        Reading(at, (PartReading(0.0, severity, severity, True, ()), calm, calm), (), ())
        for at, severity in enumerate(severities)
    ]


@pytest.mark.parametrize(
    ("severities", "stays"),
    [([2.0] * 6, [4]), ([2.0] * 3 + [0.1] * 3, []), ([2.0] * 3 + [1.1, 1.1, 1.1], [4])],
)
def test_a_step_has_stayed_a_minute_after_it_was_found_and_a_spike_has_not(
    severities: list[float], stays: list[int]
) -> None:
    state, found = NO_STEPS, []
    for at, one in enumerate(reading([0.0, *severities])):
        before, (state, _) = state, find_steps(state, one)
        found += [at for _ in stayed(before, state)]
    assert found == stays


def found_steps(severities: list[float]) -> list[int]:
    state, found = NO_STEPS, []
    for at, one in enumerate(reading(severities)):
        state, jumped = find_steps(state, one)
        if jumped:
            assert jumped == (Part.LATENCY,)
            found.append(at)
    return found


QUIET = [0.0] * 30


def test_a_step_is_found_in_its_third_minute_and_told_once() -> None:
    assert found_steps([*QUIET, *[1.5] * 60]) == [32]
    assert found_steps([*QUIET, *[1.5] * 20, *QUIET, *[1.5] * 20]) == [32, 82]


@pytest.mark.parametrize(
    ("course", "found"),
    [
        ([2.5, 2.5], []),
        ([1.21, 1.21, 1.21], [32]),
        ([1.21, 1.21, 1.17], []),
        ([2.4, 0.61, 0.62], [32]),
        ([2.4, 0.59, 0.7], []),
    ],
)
def test_spikes_and_small_jumps_are_no_steps(course: list[float], found: list[int]) -> None:
    assert found_steps([*QUIET, *course, *QUIET]) == found


def test_a_slow_rise_is_no_step() -> None:
    assert found_steps([*QUIET, *(at / 60 for at in range(120))]) == []


@pytest.mark.parametrize(
    ("name", "value"), [("MINUTES_OF_A_STEP", 2), ("LEAST_MEAN", 1.0), ("LEAST_EACH", 0.3)]
)
def test_a_looser_step_is_caught(name: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    courses = ([2.5, 2.5], [1.21, 1.21, 1.17], [2.4, 0.59, 0.7])
    monkeypatch.setattr(steps, name, value)
    assert any(found_steps([*QUIET, *course, *QUIET]) for course in courses)


def test_memory_goes_to_text_and_back_and_forecasts_on_alike(played: Played) -> None:
    text = write_corridor(played.corridor, played.alarm)
    assert len(text) < MAX_BYTES
    kept = played.corridor
    corridor, alarm = read_corridor(text)
    assert (corridor, alarm) == (played.corridor, played.alarm)
    after = played.forecasts[-1].minute + 1
    for at in range(30):
        minute = Minute(after + at, 100, errors=at // 4, latency_p95_ms=400.0 + 60 * at)
        corridor, restored = foresee(corridor, minute, LIMITS, MODEL)
        kept, carried_on = foresee(kept, minute, LIMITS, MODEL)
        assert restored == carried_on
    assert corridor == kept


def test_a_corridor_that_has_seen_nothing_goes_to_text_and_back() -> None:
    text = write_corridor(Corridor(), Alarm())
    assert read_corridor(text) == (Corridor(), Alarm())


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("form",), "foresight-state/2", "not of the form"),
        (("signals",), ["calls"], "of other signals"),
        (("alarm",), {"since": None}, "Alarm has other fields"),
        (("steps",), [], "0 parts of the objective, not 3"),
        (("state", "usual", "stray"), [1.0], "a row that has not 14 numbers"),
        (("state", "usual", "stray"), [0.0] * 14, "a signal that never strays"),
        (("state", "usual", "stray"), ["1"] * 14, "something else than numbers"),
        (("state", "usual", "rows"), [], "0 rows of what is usual, not 192"),
        (("state", "fast"), None, "not a corridor's memory"),
        (("state", "window"), [{}], "Minute has other fields"),
        (("state", "window"), [{}] * 61, "a window of more than 60 minutes"),
        (("state", "minute"), float("nan"), "NaN is no number"),
    ],
)
def test_what_is_no_memory_is_refused(path: tuple[str, ...], value: object, said: str) -> None:
    told = json.loads(write_corridor(Corridor(), Alarm()))
    inner = told
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(StateError, match=said):
        read_corridor(json.dumps(told))


def test_text_that_is_cut_or_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_corridor(Corridor(), Alarm())
    with pytest.raises(StateError, match="not a corridor's memory"):
        read_corridor(text[:-1])
    monkeypatch.setattr(codec, "MAX_BYTES", len(text))
    assert read_corridor(text)
    monkeypatch.setattr(codec, "MAX_BYTES", len(text) - 1)
    with pytest.raises(StateError, match="more than"):
        read_corridor(text)
    with pytest.raises(AssertionError, match="memory is bounded"):
        write_corridor(replace(Corridor()), Alarm())
