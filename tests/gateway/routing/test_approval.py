"""The model of approval learns, is sure of what it saw, and forgets."""

import math
import random

import pytest

from gateway.routing.approval import Fading, Table, expected_approval, fade, learn, logistic
from gateway.routing.features import Feature, FeatureSpace

SPACE = FeatureSpace(
    features=(Feature((), 0.5, 3_600.0), Feature(("region",), 0.5, 36_000.0)),
    common_features=(Feature((), 1.0, 360_000.0),),
)


def taught(chances: list[float], count: int) -> tuple[Table, Table]:
    source = random.Random(3)
    common, own = Table.new(SPACE.common), Table.new(SPACE.own)
    for n in range(count):
        region = n % len(chances)
        approved = source.random() < chances[region]
        common, own = learn(common, own, (0,), (0, 1 + region), 2.0, approved=approved)
    return common, own


def chance(common: Table, own: Table, region: int) -> float:
    means = [common.sum((0,))[0], own.sum((0, 1 + region))[0]]
    return logistic(2.0 + sum(means))


def test_it_learns_the_rate_of_each_region() -> None:
    common, own = taught([0.95, 0.75], 4_000)
    assert chance(common, own, 0) == pytest.approx(0.95, abs=0.025)
    assert chance(common, own, 1) == pytest.approx(0.75, abs=0.025)


def test_one_outcome_moves_as_exact_bayes_does() -> None:
    """Against the posterior's mean and variance on a fine grid, for one slot."""
    spread, offset = 0.4, 1.0
    space = FeatureSpace(features=(Feature((), spread, 3_600.0),))
    no_common = Table((0.0,), (1e-9,))
    _, own = learn(no_common, Table.new(space.own), (0,), (0,), offset, approved=False)
    grid = [n / 1_000 for n in range(-3_000, 3_001)]
    weights = [math.exp(-x * x / (2 * spread**2)) * (1 - logistic(offset + x)) for x in grid]
    mean = sum(w * x for w, x in zip(weights, grid, strict=True)) / sum(weights)
    variance = sum(w * (x - mean) ** 2 for w, x in zip(weights, grid, strict=True)) / sum(weights)
    assert own.means[0] == pytest.approx(mean, rel=0.05)
    assert own.variances[0] == pytest.approx(variance, rel=0.05)


def test_what_was_learnt_makes_it_surer_there_and_only_there() -> None:
    _, own = taught([0.9], 50)
    assert own.variances[1] < 0.9 * SPACE.own.variances[1]
    assert own.variances[2:] == SPACE.own.variances[2:]
    assert own.means[2:] == (0.0,) * len(own.means[2:])


def test_it_forgets_by_half_lives() -> None:
    _, own = taught([0.5], 200)
    faded = fade(own, Fading.over(SPACE.own, 3_600.0))
    assert faded.means[0] == pytest.approx(own.means[0] / 2)
    assert faded.means[1] == pytest.approx(own.means[1] * 0.5**0.1)
    lost = [
        prior - variance for prior, variance in zip(SPACE.own.variances, own.variances, strict=True)
    ]
    left = [
        prior - variance
        for prior, variance in zip(SPACE.own.variances, faded.variances, strict=True)
    ]
    assert left[0] == pytest.approx(lost[0] / 4)
    assert fade(own, Fading.over(SPACE.own, 1e9)) == Table.new(SPACE.own)


def test_fading_twice_is_fading_once_for_as_long() -> None:
    _, own = taught([0.5], 200)
    once = fade(own, Fading.over(SPACE.own, 5_000.0))
    twice = fade(fade(own, Fading.over(SPACE.own, 2_000.0)), Fading.over(SPACE.own, 3_000.0))
    assert twice.means == pytest.approx(once.means)
    assert twice.variances == pytest.approx(once.variances)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="goes back"):
        Fading.over(SPACE.own, -1.0)


def test_after_a_shift_the_new_rate_is_learnt() -> None:
    common, own = taught([0.95], 2_000)
    source = random.Random(4)
    fading = Fading.over(SPACE.own, 60.0)
    for _ in range(400):
        own = fade(own, fading)
        common, own = learn(common, own, (0,), (0, 1), 2.0, approved=source.random() < 0.7)
    assert chance(common, own, 0) == pytest.approx(0.7, abs=0.07)


@pytest.mark.parametrize("mean", [-3.0, 0.0, 2.0])
def test_the_expected_approval(mean: float) -> None:
    source = random.Random(1)
    drawn = [logistic(source.gauss(mean, 0.8)) for _ in range(20_000)]
    assert expected_approval(mean, 0.64) == pytest.approx(sum(drawn) / len(drawn), abs=0.01)


def test_extreme_log_odds() -> None:
    assert 0.0 < logistic(-1e9) < 1e-8
    assert 1.0 - 1e-8 < logistic(1e9) <= 1.0
