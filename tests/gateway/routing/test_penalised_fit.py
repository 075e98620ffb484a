"""The fit is where the likelihood and the prior together are highest, computed here again."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing import penalised_fit
from gateway.routing.approval import expected_approval
from gateway.routing.penalised_fit import Cell, Fit, FitError, fit

COEFFICIENTS = 5


@st.composite
def cells_of(draw: st.DrawFn) -> list[Cell]:
    cells = []
    for _ in range(draw(st.integers(0, 8))):
        slots = draw(st.sets(st.integers(0, COEFFICIENTS - 1), max_size=COEFFICIENTS))
        weight = draw(st.floats(0.01, 500.0))
        cells.append(
            Cell(
                tuple(sorted(slots)),
                draw(st.floats(-3.0, 3.0)),
                draw(st.floats(0.0, 1.0)),
                weight,
                weight * draw(st.floats(0.0, 1.0)),
            )
        )
    return cells


PRIORS = st.lists(st.floats(0.01, 2.0), min_size=COEFFICIENTS, max_size=COEFFICIENTS)


def objective(cells: list[Cell], priors: list[float], found: Fit, means: list[float]) -> float:
    """The log-posterior by serving's own chances, for the variances that were found."""
    total = -sum(m * m / (2 * p) for m, p in zip(means, priors, strict=True))
    for cell in cells:
        spread = cell.unfitted + sum(found.variances[slot] for slot in cell.slots)
        chance = expected_approval(cell.offset + sum(means[s] for s in cell.slots), spread)
        total += cell.approved * math.log(chance)
        total += (cell.weight - cell.approved) * math.log(1.0 - chance)
    return total


@given(cells_of(), PRIORS)
@settings(max_examples=40, deadline=None)
def test_no_step_from_the_answer_is_likelier(cells: list[Cell], priors: list[float]) -> None:
    found = fit(cells, priors)
    best = objective(cells, priors, found, list(found.means))
    # Variances of the last round and of the one before differ a little.
    slack = 1e-3 * (1.0 + sum(cell.weight for cell in cells))
    for place, prior in enumerate(priors):
        for step in (-0.2, 0.2):
            moved = list(found.means)
            moved[place] += step * math.sqrt(prior)
            assert objective(cells, priors, found, moved) <= best + slack


@given(cells_of(), PRIORS)
@settings(max_examples=20, deadline=None)
def test_the_order_of_outcomes_does_not_matter(cells: list[Cell], priors: list[float]) -> None:
    one, other = fit(cells, priors), fit(cells[::-1], priors)
    assert one.means == pytest.approx(other.means, abs=1e-5)
    assert one.variances == pytest.approx(other.variances, rel=1e-5)


def test_nothing_seen_is_what_was_believed_before() -> None:
    assert fit([], [0.5, 2.0]) == Fit((0.0, 0.0), (0.5, 2.0), 0)


def test_of_many_outcomes_serving_says_what_was_seen() -> None:
    """Two kinds of payments, so many that the prior has no say; something is left unfitted."""
    kinds = [Cell((0, 1), 2.0, 0.3, 1e6, 8e5), Cell((0, 2), 1.0, 0.3, 1e6, 3e5)]
    found = fit(kinds, [1.0, 1.0, 1.0])
    for cell in kinds:
        mean = cell.offset + sum(found.means[slot] for slot in cell.slots)
        spread = cell.unfitted + sum(found.variances[slot] for slot in cell.slots)
        assert expected_approval(mean, spread) == pytest.approx(
            cell.approved / cell.weight, abs=1e-4
        )
    assert max(found.variances) < 1e-4


def test_one_coefficient_by_bisection() -> None:
    """40 outcomes, 28 approved, a prior of 0.1: the slope is 0 where a bisection finds it."""
    found = fit([Cell((0,), 0.0, 0.0, 40.0, 28.0)], [0.1])
    scale = 1.0 / math.sqrt(1.0 + math.pi * found.variances[0] / 8.0)

    def slope(mean: float) -> float:
        chance = 1.0 / (1.0 + math.exp(-scale * mean))
        return scale * (28.0 - 40.0 * chance) - mean / 0.1

    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    assert found.means[0] == pytest.approx(low, abs=1e-3)
    chance = 1.0 / (1.0 + math.exp(-scale * low))
    expected = 1.0 / (1.0 / 0.1 + scale**2 * 40.0 * chance * (1.0 - chance))
    assert found.variances[0] == pytest.approx(expected, rel=1e-2)


def test_known_weights_are_found_again() -> None:
    draw = random.Random(5)
    truth = [draw.gauss(0.0, 0.7) for _ in range(12)]
    cells = []
    for _ in range(3_000):
        slots = tuple(sorted(draw.sample(range(12), 3)))
        log_odds = 0.5 + sum(truth[slot] for slot in slots)
        approved = draw.random() < 1.0 / (1.0 + math.exp(-log_odds))
        cells.append(Cell(slots, 0.5, 0.0, 1.0, float(approved)))
    found = fit(cells, [0.49] * 12)
    for mean, variance, true in zip(found.means, found.variances, truth, strict=True):
        assert abs(mean - true) < 5.0 * math.sqrt(variance)


def test_no_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penalised_fit, "MAX_STEPS", 1)
    with pytest.raises(FitError, match="within 1 steps"):
        fit([Cell((0,), 0.0, 0.0, 40.0, 28.0)], [0.1])
