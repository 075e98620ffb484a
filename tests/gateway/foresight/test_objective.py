"""The objective: positions of its parts by an independent model, and its edges."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.foresight.objective import Objective, Part
from gateway.foresight.signals import COUNTS, MEASURES, Minute, minute_of_week

LIMITS = Objective()


def minute(calls: int = 100, **told: Any) -> Minute:
    return Minute(1, calls, **told)


MINUTES = st.builds(
    lambda calls, failed, latency, lag: Minute(
        1, calls, errors=min(failed, calls), latency_p95_ms=latency, webhook_lag_s=lag
    ),
    st.integers(0, 500),
    st.integers(0, 60),
    st.none() | st.integers(0, 9_000),
    st.none() | st.integers(0, 900),
)


@given(st.lists(MINUTES, max_size=5))
def test_positions_are_those_of_exact_arithmetic(window: list[Minute]) -> None:
    calls = sum(one.calls for one in window)
    timed = [one for one in window if one.latency_p95_ms is not None]
    weight = sum(one.calls for one in timed)
    latency = sum(Fraction(one.latency_p95_ms or 0) * one.calls for one in timed)
    lags = [Fraction(one.webhook_lag_s) for one in window if one.webhook_lag_s is not None]
    failures = sum(one.errors for one in window)
    assert LIMITS.positions(window) == pytest.approx(
        (
            float(latency / weight / 2_500) if weight else 0.0,
            float(Fraction(failures) / max(Fraction(calls, 20), Fraction(5))),
            float(sum(lags) / len(lags) / 120) if lags else 0.0,
        )
    )


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        ({"latency_p95_ms": 2_500.0}, (Part.LATENCY,)),
        ({"latency_p95_ms": 2_499.9}, ()),
        ({"webhook_lag_s": 120.0}, (Part.WEBHOOKS,)),
        ({"webhook_lag_s": 119.9}, ()),
        ({"errors": 2, "timeouts": 2, "rate_limited": 1}, (Part.FAILURES,)),
        ({"errors": 2, "timeouts": 2}, ()),
        ({"issuer_declines": 60, "fraud_declines": 20, "funds_declines": 20}, ()),
    ],
)
def test_the_limit_itself_is_broken_and_declines_never_count(
    told: dict[str, Any], broken: tuple[Part, ...]
) -> None:
    assert LIMITS.broken([minute(**told)]) == broken


def test_few_failures_break_nothing_however_few_calls() -> None:
    assert LIMITS.broken([minute(calls=4, errors=4)]) == ()
    assert LIMITS.broken([minute(calls=5, errors=5)]) == (Part.FAILURES,)


@pytest.mark.parametrize(
    "told",
    [
        {"window_minutes": 0},
        {"window_minutes": 61},
        {"failure_share": 0.0},
        {"failure_share": 1.0},
        {"latency_p95_ms": 0.0},
        {"latency_p95_ms": float("nan")},
        {"least_failures": 0},
        {"webhook_lag_s": -1.0},
    ],
)
def test_limits_that_make_no_sense_are_refused(told: dict[str, float]) -> None:
    (name,) = told
    with pytest.raises(ValueError, match=f"{name} must be"):
        Objective(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["minute", *COUNTS])
def test_a_minute_with_a_negative_count_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must not be negative, it is -1$"):
        Minute(**{"minute": 1, "calls": 9, name: -1})


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_measure_that_is_no_number_from_zero_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a number from 0, it is"):
        Minute(1, 9, **{name: value})  # type: ignore[arg-type]


def test_more_outcomes_than_calls_are_refused() -> None:
    assert minute(calls=3, errors=1, timeouts=1, funds_declines=1).failures == 2
    with pytest.raises(ValueError, match="more calls failed or were declined than the 2"):
        minute(calls=2, errors=1, timeouts=1, funds_declines=1)


def test_weeks_begin_on_monday() -> None:
    # 4 May 2026 was a Monday; 1 January 1970 a Thursday.
    assert minute_of_week(29_630_880) == 0
    assert minute_of_week(0) == 3 * 1_440
    assert minute_of_week(29_630_879) == 7 * 1_440 - 1
