"""Propensities are probabilities, are what is drawn, and keep to the cap."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.propensity import (
    Exploration,
    Value,
    best_guess,
    draw,
    propensities,
    thompson_shares,
    uniform,
)

values_lists = st.lists(
    st.builds(
        Value,
        mean=st.floats(-0.5, 1.0),
        spread=st.floats(0.0, 0.3),
        suspect=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
explorations = st.builds(
    Exploration,
    spread_factor=st.floats(0.0, 2.0),
    max_share=st.sampled_from([0.0, 1e-12, 1e-5]) | st.floats(0.0, 0.9),
    max_cost=st.floats(0.0, 0.1),
    min_share=st.floats(0.0, 0.01),
    probe_share=st.floats(0.01, 0.2),
)


@given(values_lists, explorations)
def test_they_sum_to_one_and_keep_to_the_cap(values: list[Value], exploration: Exploration) -> None:
    shares = propensities(values, exploration)
    best = best_guess(values)
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert min(shares) >= 0.0
    assert 1.0 - shares[best] <= exploration.max_share + 1e-9
    if exploration.max_share:
        floor = min(exploration.min_share, exploration.max_share / max(len(values) - 1, 1))
        assert all(share >= floor - 1e-12 for n, share in enumerate(shares) if n != best)
    for n, value in enumerate(values):
        if value.suspect and n != best:
            assert shares[n] <= exploration.probe_share + 1e-12


@given(values_lists, explorations)
def test_trying_out_costs_no_more_than_is_set(
    values: list[Value], exploration: Exploration
) -> None:
    shares = propensities(values, exploration)
    top = values[best_guess(values)].mean
    cost = sum(share * (top - v.mean) for share, v in zip(shares, values, strict=True))
    floor = sum(exploration.min_share * (top - value.mean) for value in values)
    assert cost <= exploration.max_cost + floor + 1e-9


CASES = (
    ((0.90, 0.02), (0.89, 0.03)),
    ((0.90, 0.02), (0.89, 0.03), (0.85, 0.05)),
    ((0.90, 0.001), (0.90, 0.05), (0.91, 0.02), (0.3, 0.2), (0.88, 0.04), (0.89, 0.01)),
    ((0.90, 0.0), (0.88, 0.02), (0.87, 0.02)),
)


@pytest.mark.parametrize("case", CASES)
def test_shares_are_how_often_each_is_the_best(case: tuple[tuple[float, float], ...]) -> None:
    """Counted by drawing worths, which shares no code with the quadrature."""
    source, count = random.Random(5), 20_000
    wins = Counter(
        max(range(len(case)), key=lambda n: drawn[n])
        for drawn in ([source.gauss(*normal) for normal in case] for _ in range(count))
    )
    shares = thompson_shares([Value(*normal) for normal in case], 1.0)
    for n, share in enumerate(shares):
        assert share == pytest.approx(wins[n] / count, abs=4 * math.sqrt(0.25 / count))


def test_what_is_drawn_is_as_frequent_as_its_propensity() -> None:
    values = [Value(0.90, 0.02), Value(0.895, 0.03), Value(0.7, 0.05), Value(0.88, 0.3, True)]
    shares, count = propensities(values, Exploration()), 50_000
    drawn = Counter(draw(shares, seed) for seed in range(count))
    for n, share in enumerate(shares):
        deviation = math.sqrt(share * (1 - share) / count)
        assert drawn[n] / count == pytest.approx(share, abs=4 * deviation + 1e-9)


@settings(max_examples=50)
@given(st.integers(0, 2**64 - 1))
def test_a_seed_stands_for_one_number(seed: int) -> None:
    assert 0.0 <= uniform(seed) < 1.0
    assert uniform(seed) == uniform(seed)


def test_nothing_without_a_share_is_drawn() -> None:
    assert {draw([0.0, 1.0, 0.0], seed) for seed in range(1_000)} == {1}
    # Shares that sum to a little less than 1.
    assert draw([0.0, 0.0, 1e-300, 0.0], 7) == 2


def test_no_exploration_is_the_best_guess() -> None:
    values = [Value(0.5, 0.3), Value(0.6, 0.0), Value(0.6, 0.3)]
    assert propensities(values, Exploration(max_share=0.0)) == (0.0, 1.0, 0.0)


def test_no_candidate_at_all() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        propensities([], Exploration())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_share": 1.0},
        {"max_share": -0.1},
        {"min_share": 0.02, "probe_share": 0.01},
        {"min_share": -0.1},
        {"max_cost": -1.0},
        {"spread_factor": -1.0},
    ],
)
def test_an_exploration_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Exploration(**wrong)


# The first outputs of splitmix64 for these seeds, as its authors' code prints them.
SPLITMIX = {0: 0xE220A8397B1DCDAF, 1: 0x910A2DEC89025CC1, 2**64 - 1: 0xE4D971771B652C20}


@pytest.mark.parametrize("seed", SPLITMIX)
def test_the_number_of_a_seed_is_that_of_splitmix64(seed: int) -> None:
    assert uniform(seed) == (SPLITMIX[seed] >> 11) / 2**53


def test_bounds_to_the_digit() -> None:
    defaults = Exploration()
    assert defaults == Exploration(0.7, 0.15, 0.001, 0.04, 0.002)
    # Nothing speaks for the other: the floor.
    surely = [Value(0.9, 0.0), Value(0.8, 0.0)]
    assert propensities(surely, defaults) == pytest.approx((0.998, 0.002))
    # As good, and suspected of an incident: what a probe gets.
    suspect = [Value(0.9, 0.1), Value(0.9, 0.1, True)]
    assert propensities(suspect, defaults) == pytest.approx((0.96, 0.04))
    # As good, all three: the cap, in equal parts.
    alike = [Value(0.9, 0.1)] * 3
    assert propensities(alike, defaults) == pytest.approx((0.85, 0.075, 0.075), abs=1e-4)
    # Unsure, and worse by 0.4: so much that it costs 0.001.
    costly = [Value(0.9, 0.5), Value(0.5, 0.5)]
    assert propensities(costly, defaults) == pytest.approx((0.9975, 0.0025))
    # The floor of two has to fit into the cap.
    narrow = Exploration(max_share=0.003)
    three = [Value(0.9, 0.0), Value(0.1, 0.0), Value(0.1, 0.0)]
    assert propensities(three, narrow) == pytest.approx((0.997, 0.0015, 0.0015))
    assert propensities([Value(0.2, 0.1)], defaults) == (1.0,)


def test_two_are_compared_in_closed_form() -> None:
    """Worse by 0.1, of 0.3 and 0.4 together 0.5: a fifth of a deviation."""
    below = 0.5 - 0.5 * math.erf(0.2 / math.sqrt(2.0))
    two = [Value(0.6, 0.4), Value(0.7, 0.3)]
    assert thompson_shares(two, 1.0) == pytest.approx([below, 1.0 - below])
    # Half the benefit of doubt: two fifths.
    below = 0.5 - 0.5 * math.erf(0.4 / math.sqrt(2.0))
    assert thompson_shares(two, 0.5) == pytest.approx([below, 1.0 - below])
    # One that is surely worse does not count.
    three = [*two, Value(-9.0, 0.1)]
    assert thompson_shares(three, 0.5) == pytest.approx([below, 1.0 - below, 0.0])
    assert thompson_shares([Value(0.3, 0.2)], 1.0) == [1.0]
    assert thompson_shares([Value(0.9, 0.01), Value(0.1, 0.01)], 1.0) == [1.0, 0.0]
