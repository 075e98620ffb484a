"""Intervals of ratios: known answers, and both ends missed as often where values are skewed."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.evaluation_interval import Interval, interval, ratio, t_quantile

sums_lists = st.lists(
    st.tuples(st.floats(-5.0, 50.0), st.floats(0.5, 4.0)), min_size=5, max_size=60
)


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [
        # Abramowitz and Stegun, table 26.10.
        (0.975, 3, 3.182),
        (0.975, 5, 2.571),
        (0.975, 10, 2.228),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.995, 10, 3.169),
        (0.975, 1e9, 1.960),
        (0.5, 7, 0.0),
    ],
)
def test_quantiles_of_t(probability: float, freedom: float, quantile: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(quantile, rel=0.01, abs=1e-9)


def test_fewer_degrees_of_freedom_than_the_expansion_is_for() -> None:
    assert t_quantile(0.975, 0.0) == t_quantile(0.975, 3.0)


def test_a_ratio_worked_by_hand() -> None:
    sums = [(1.0, 2.0), (3.0, 2.0), (2.0, 1.0), (6.0, 3.0)]
    found = ratio(sums)
    value = Fraction(12, 8)
    z = [Fraction(a) - value * Fraction(b) for a, b in ((1, 2), (3, 2), (2, 1), (6, 3))]
    assert z == [-2, 0, Fraction(1, 2), Fraction(3, 2)]
    assert found.value == 1.5
    assert found.spread**2 == pytest.approx(float(sum(x * x for x in z) / 3))
    assert found.skewness == pytest.approx(float(sum(x**3 for x in z) / 4) / found.spread**3)
    assert found.covariance == pytest.approx(
        float(sum(x * (b - 2) for x, (_, b) in zip(map(float, z), sums, strict=True))) / 3
    )
    assert found.variance_b == pytest.approx(2 / 3)
    assert found.error == pytest.approx(found.spread / 2 / 2.0)


def test_without_skewness_it_is_the_interval_of_the_t_test() -> None:
    found = ratio([(x, 1.0) for x in (-3.0, -1.0, 0.0, 1.0, 3.0)])
    half = t_quantile(0.975, 4) * math.sqrt(5.0) / math.sqrt(5.0)
    assert interval(found, 0.95, 4) == pytest.approx((-half, half))


def test_what_is_skewed_upwards_may_be_higher() -> None:
    found = ratio([(x, 1.0) for x in [0.0] * 18 + [5.0, 10.0]])
    low, high = interval(found, 0.95, 19)
    assert high - found.value > found.value - low
    mirrored = interval(ratio([(-x, 1.0) for x in [0.0] * 18 + [5.0, 10.0]]), 0.95, 19)
    assert mirrored == pytest.approx((-high, -low))


def test_what_does_not_differ_is_certain() -> None:
    assert interval(ratio([(2.0, 1.0), (4.0, 2.0)]), 0.95, 1) == (2.0, 2.0)


def test_a_divisor_that_may_be_nothing_leaves_ends_open() -> None:
    found = ratio([(1.0, 0.0), (0.0, 0.0), (2.0, 9.0), (0.5, 0.0)])
    assert interval(found, 0.95, 3) == (-math.inf, math.inf)


@given(sums_lists, st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
def test_units_do_not_matter(sums: list[tuple[float, float]], scale: float, shift: float) -> None:
    found = interval(ratio(sums), 0.9, len(sums) - 1)
    moved = interval(ratio([(scale * (a + shift * b), b) for a, b in sums]), 0.9, len(sums) - 1)
    if all(map(math.isfinite, found)) and ratio(sums).spread > 1e-6:
        assert moved == pytest.approx([scale * (end + shift) for end in found], rel=1e-4, abs=1e-4)


@given(sums_lists)
def test_more_confidence_is_wider_and_the_estimate_is_in_it(
    sums: list[tuple[float, float]],
) -> None:
    found = ratio(sums)
    if found.spread < 1e-9:
        return
    inner, outer = interval(found, 0.9, 1e9), interval(found, 0.95, 1e9)
    assert outer.low <= inner.low < inner.high <= outer.high


def test_both_ends_are_missed_as_often() -> None:
    """Means of 60 exponential numbers: a plain t-test misses above five times as often as below."""
    draw = random.Random(3)
    runs, above, below = 1_500, 0, 0
    for _ in range(runs):
        found = ratio([(draw.expovariate(1.0), 1.0) for _ in range(60)])
        low, high = interval(found, 0.95, 59)
        above += high < 1.0
        below += low > 1.0
    # 2.5 % each, which is 37 of 1,500 with a deviation of 6.
    assert 18 <= above <= 60
    assert 18 <= below <= 60


def test_errors() -> None:
    with pytest.raises(ValueError, match="1 customers, at least 2"):
        ratio([(1.0, 1.0)])
    with pytest.raises(ValueError, match="nothing to divide by"):
        ratio([(1.0, 0.0), (1.0, 0.0)])
    found = ratio([(1.0, 1.0), (0.0, 1.0)])
    for confidence in (0.49, 1.0):
        with pytest.raises(ValueError, match="confidence"):
            interval(found, confidence, 1)


def test_the_part_that_can_be() -> None:
    assert Interval(-1.0, 2.0).within(0.0, 1.0) == (0.0, 1.0)
    assert Interval(3.0, 4.0).within(0.0, 1.0) == (1.0, 1.0)
