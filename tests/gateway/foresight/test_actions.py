"""What may be done about an alarm: never beyond the bounds, and always undone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.foresight.actions import LEAST_CHANGE, LEAST_KEPT, NEUTRAL, Act, Bounds, acts, posture
from gateway.foresight.alarm import Alarm
from gateway.foresight.forecast import Forecast
from gateway.foresight.objective import Part

STANDS = Alarm(since=100)
OFF = Bounds(most_discount=0.0, least_concurrency=1.0, probe_every_minutes=None, incidents=False)


def forecast(near: float, far: float, *, broken: bool = False) -> Forecast:
    parts = (Part.LATENCY,) if broken else ()
    return Forecast(100, (near, max(near, far), max(near, far)), None, parts, None, (), ())


BOUNDS = st.builds(
    Bounds,
    st.floats(0, 1 - LEAST_KEPT),
    st.floats(LEAST_KEPT, 1),
    st.none() | st.integers(1, 60),
    st.booleans(),
)
FORECASTS = st.builds(
    lambda near, far, broken: forecast(near, far, broken=broken),
    st.floats(0, 1),
    st.floats(0, 1),
    st.booleans(),
)


@settings(max_examples=50)
@given(BOUNDS, st.lists(st.tuples(FORECASTS, st.booleans()), max_size=6))
def test_no_course_of_forecasts_leaves_the_bounds_and_the_end_undoes_all(
    bounds: Bounds, course: list[tuple[Forecast, bool]]
) -> None:
    now = NEUTRAL
    for told, stands in course:
        before, now = now, posture(STANDS if stands else Alarm(), told, bounds, now)
        assert 0 <= now.discount <= bounds.most_discount
        assert bounds.least_concurrency <= now.concurrency <= 1
        assert now.concurrency >= LEAST_KEPT
        assert 1 - now.discount >= LEAST_KEPT - 1e-12
        assert stands or now == NEUTRAL
        exact = posture(STANDS if stands else Alarm(), told, bounds, NEUTRAL)
        assert abs(now.discount - exact.discount) < LEAST_CHANGE or before == NEUTRAL
    assert posture(Alarm(), forecast(1, 1), bounds, now) == NEUTRAL


def test_a_broken_objective_reaches_the_bounds_and_a_forecast_goes_part_of_the_way() -> None:
    bounds = Bounds(most_discount=0.6, least_concurrency=0.3)
    broken = posture(STANDS, forecast(1, 1, broken=True), bounds, NEUTRAL)
    assert (broken.discount, broken.concurrency) == pytest.approx((0.6, 0.3))
    likely = posture(STANDS, forecast(0.5, 0.6), bounds, NEUTRAL)
    assert (likely.discount, likely.concurrency) == pytest.approx((0.3, 0.65))
    far = posture(STANDS, forecast(0.0, 0.5), bounds, NEUTRAL)
    assert (far.discount, far.concurrency) == pytest.approx((0.15, 0.825))


def test_a_step_is_acted_upon_for_its_minute_before_there_is_an_alarm() -> None:
    bounds = Bounds(most_discount=0.6, least_concurrency=0.3)
    part = Part.LATENCY
    found = Forecast(100, (0.1, 0.3, 0.5), None, (), part, (), (part,))
    now = posture(Alarm(), found, bounds, NEUTRAL)
    assert (now.discount, now.concurrency) == pytest.approx((0.6, 0.3))
    assert not now.incident
    assert acts(NEUTRAL, now, Alarm(), 100, bounds) == (Act.DISCOUNT, Act.CONCURRENCY)
    assert posture(Alarm(), forecast(0.1, 0.5), bounds, now) == NEUTRAL
    raised = posture(STANDS, forecast(0.5, 0.5), bounds, now)
    assert raised.incident
    assert raised.discount == pytest.approx(0.3)


def test_small_changes_keep_what_was_and_narrower_bounds_do_not() -> None:
    bounds = Bounds(most_discount=0.6, least_concurrency=0.3)
    first = posture(STANDS, forecast(0.5, 0.5), bounds, NEUTRAL)
    assert posture(STANDS, forecast(0.55, 0.5), bounds, first) == first
    assert posture(STANDS, forecast(0.7, 0.5), bounds, first).discount == pytest.approx(0.42)
    narrow = Bounds(most_discount=0.29, least_concurrency=0.9)
    held = posture(STANDS, forecast(1.0, 1.0), narrow, first)
    assert (held.discount, held.concurrency) == pytest.approx((0.29, 0.9))


def test_what_is_turned_off_is_never_done() -> None:
    told = forecast(1, 1, broken=True)
    now = posture(STANDS, told, OFF, NEUTRAL)
    assert now == NEUTRAL
    assert acts(NEUTRAL, now, STANDS, 100, OFF) == ()


def test_the_acts_of_an_alarm_from_its_start_to_its_end() -> None:
    bounds = Bounds(probe_every_minutes=2)
    now = posture(STANDS, forecast(0.5, 0.5), bounds, NEUTRAL)
    assert acts(NEUTRAL, now, STANDS, 100, bounds) == (
        Act.DISCOUNT, Act.CONCURRENCY, Act.PROBE, Act.OPEN_INCIDENT,
    )  # fmt: skip
    assert acts(now, now, STANDS, 101, bounds) == ()
    assert acts(now, now, STANDS, 102, bounds) == (Act.PROBE,)
    assert acts(now, NEUTRAL, Alarm(), 103, bounds) == (
        Act.DISCOUNT, Act.CONCURRENCY, Act.CLOSE_INCIDENT,
    )  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        {"most_discount": -0.01},
        {"most_discount": 0.96},
        {"least_concurrency": 0.04},
        {"least_concurrency": 1.01},
        {"probe_every_minutes": 0},
        {"probe_every_minutes": 61},
    ],
)
def test_bounds_that_would_close_a_corridor_are_refused(told: dict[str, float]) -> None:
    (name,) = told
    with pytest.raises(ValueError, match=f"{name} must be"):
        Bounds(**told)  # type: ignore[arg-type]
