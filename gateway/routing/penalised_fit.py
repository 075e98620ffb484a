"""Logistic regression with a normal prior for each coefficient, fitted to all outcomes at once.

The most likely coefficients by Newton's method: the log-likelihood is concave and the prior makes
it strictly so, so that there is one answer whatever the order of the data. Its linear systems are
solved by conjugate gradients, since a payment touches a few dozen of thousands of coefficients.
How unsure each coefficient is, all others given, follows from the curvature there (Laplace's
approximation); covariances are left out, as `approval.py` leaves them out.

What is unsure draws a chance towards a half when it is decided (`expected_approval`). A fit that
knew nothing of that would be right before and too low after. So each round fits with the spread
that the round before has left, until both agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.routing.approval import logistic

ROUNDS = 4
"""Few, since the spread moves less with each."""
MAX_STEPS = 50
"""In each round."""
MAX_CONJUGATE_STEPS = 60
MAX_HALVINGS = 20
TOLERANCE = 1e-7
"""How far from 0 the slope may be by any coefficient, in units of its prior's spread, of one
outcome."""
ROUGHLY = 1e-3
"""The same of all rounds but the last."""
SYSTEM_TOLERANCE = 0.05
"""How much of a linear system's residual may be left: Newton's next step mends it."""


class Cell(NamedTuple):
    """Outcomes of payments that the model sees alike."""

    slots: tuple[int, ...]
    """Coefficients that are summed, each once."""
    offset: float
    """Log-odds before any coefficient."""
    unfitted: float
    """The variance of what is summed besides, about 0, and not fitted."""
    weight: float
    """As how many outcomes they count."""
    approved: float
    """How much of the weight was approved."""


class FitError(ArithmeticError):
    """No answer within MAX_STEPS."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients, and the variance of each."""

    means: tuple[float, ...]
    variances: tuple[float, ...]
    steps: int
    """Of Newton's method, of all rounds."""


def fit(cells: Sequence[Cell], priors: Sequence[float]) -> Fit:
    """The most likely coefficients of cells; `priors` are their variances before, about 0.

    The same cells in the same order give the same bits. Raises FitError.
    """
    found = Fit((0.0,) * len(priors), (0.0,) * len(priors), 0)
    for left in reversed(range(ROUNDS)):
        spreads = [
            cell.unfitted + sum(map(found.variances.__getitem__, cell.slots)) for cell in cells
        ]
        # As `expected_approval` has it.
        scales = [1.0 / math.sqrt(1.0 + math.pi * spread / 8.0) for spread in spreads]
        found = _Round(cells, scales, priors).fit(found, ROUGHLY if left else TOLERANCE)
    return found


@dataclass(frozen=True, slots=True)
class _Round:
    """One fit: log-odds of each cell are its sum times its scale."""

    cells: Sequence[Cell]
    scales: Sequence[float]
    priors: Sequence[float]

    def fit(self, before: Fit, tolerance: float) -> Fit:
        """From the coefficients of the round before."""
        means: Sequence[float] = before.means
        bound = tolerance * (1.0 + math.fsum([cell.weight for cell in self.cells]))
        for number in range(MAX_STEPS):
            log_odds = self._log_odds(means)
            chances = list(map(logistic, log_odds))
            slope = self._slope(chances, means)
            curvatures = [
                scale * scale * cell.weight * chance * (1.0 - chance)
                for cell, scale, chance in zip(self.cells, self.scales, chances, strict=True)
            ]
            steepest = [abs(s) * math.sqrt(p) for s, p in zip(slope, self.priors, strict=True)]
            if max(steepest, default=0.0) <= bound:
                variances = self._variances(curvatures)
                return Fit(tuple(means), variances, before.steps + number)
            step = self._newton_step(curvatures, slope)
            means = self._risen(means, step, self._log_posterior(log_odds, means))
        raise FitError(f"no answer within {MAX_STEPS} steps")

    def _risen(
        self, means: Sequence[float], step: Sequence[float], posterior: float
    ) -> Sequence[float]:
        """As far along the step as makes the coefficients likelier."""
        share = 1.0
        for _ in range(MAX_HALVINGS):
            tried = [mean + share * move for mean, move in zip(means, step, strict=True)]
            if self._log_posterior(self._log_odds(tried), tried) >= posterior:
                return tried
            share /= 2.0
        return means

    def _log_odds(self, means: Sequence[float]) -> list[float]:
        of = means.__getitem__
        return [
            scale * (cell.offset + sum(map(of, cell.slots)))
            for cell, scale in zip(self.cells, self.scales, strict=True)
        ]

    def _log_posterior(self, log_odds: Sequence[float], means: Sequence[float]) -> float:
        """Up to a constant."""
        likely = math.fsum(
            [
                cell.approved * x - cell.weight * _softplus(x)
                for cell, x in zip(self.cells, log_odds, strict=True)
            ]
        )
        return likely - 0.5 * math.fsum(
            [mean * mean / prior for mean, prior in zip(means, self.priors, strict=True)]
        )

    def _slope(self, chances: Sequence[float], means: Sequence[float]) -> list[float]:
        slope = [-mean / prior for mean, prior in zip(means, self.priors, strict=True)]
        for cell, scale, chance in zip(self.cells, self.scales, chances, strict=True):
            left = scale * (cell.approved - cell.weight * chance)
            for slot in cell.slots:
                slope[slot] += left
        return slope

    def _newton_step(self, curvatures: Sequence[float], slope: Sequence[float]) -> list[float]:
        """By conjugate gradients, each coefficient in units of its own curvature."""
        units = self._variances(curvatures)
        step = [0.0] * len(slope)
        residual = list(slope)
        scaled = [r * unit for r, unit in zip(residual, units, strict=True)]
        direction = scaled
        left = first = math.fsum([r * z for r, z in zip(residual, scaled, strict=True)])
        for _ in range(MAX_CONJUGATE_STEPS):
            bent = self._curved(curvatures, direction)
            length = left / math.fsum([d * b for d, b in zip(direction, bent, strict=True)])
            step = [s + length * d for s, d in zip(step, direction, strict=True)]
            residual = [r - length * b for r, b in zip(residual, bent, strict=True)]
            scaled = [r * unit for r, unit in zip(residual, units, strict=True)]
            before, left = left, math.fsum([r * z for r, z in zip(residual, scaled, strict=True)])
            if left <= SYSTEM_TOLERANCE**2 * first:
                break
            direction = [z + left / before * d for z, d in zip(scaled, direction, strict=True)]
        return step

    def _curved(self, curvatures: Sequence[float], direction: Sequence[float]) -> list[float]:
        """The curvature of the log-posterior along a direction, the sign turned."""
        bent = [d / prior for d, prior in zip(direction, self.priors, strict=True)]
        of = direction.__getitem__
        for cell, curvature in zip(self.cells, curvatures, strict=True):
            moved = curvature * sum(map(of, cell.slots))
            for slot in cell.slots:
                bent[slot] += moved
        return bent

    def _variances(self, curvatures: Sequence[float]) -> tuple[float, ...]:
        """Of each coefficient, all others given."""
        precisions = [1.0 / prior for prior in self.priors]
        for cell, curvature in zip(self.cells, curvatures, strict=True):
            for slot in cell.slots:
                precisions[slot] += curvature
        return tuple([1.0 / precision for precision in precisions])


def _softplus(x: float) -> float:
    """log(1 + e^x), for any x."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
