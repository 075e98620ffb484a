"""How likely issuers approve a payment by corridor: logistic regression that knows how sure it is.

Log-odds of approval = what is the payment's own + what the corridor adds; each is a sum of one slot
per feature, and each slot is a normal distribution. An outcome moves mean and variance of the slots
of its payment (one step of an extended Kalman filter, the covariances left out). With time each
slot goes back to where it began (to nothing, or to what was trained offline): what is old counts
less, and what was not tried for long becomes uncertain again, so that it is tried (an
Ornstein-Uhlenbeck process by slot). Quick slots beside
slow ones, of the same scope, take what has just changed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.routing.features import Layout

MIN_VARIANCE = 1e-6
MAX_LOG_ODDS = 20.0


@dataclass(frozen=True, slots=True)
class Table:
    """Means and variances by slot."""

    means: tuple[float, ...]
    variances: tuple[float, ...]

    @classmethod
    def new(cls, layout: Layout, doubt: float = 1.0) -> "Table":
        """What is believed before anything is seen; `doubt` is the share of its variances."""
        variances = tuple([doubt * variance for variance in layout.variances])
        return cls((0.0,) * len(variances), variances)

    def sum(self, slots: Sequence[int]) -> tuple[float, float]:
        """The mean and the variance of a payment's sum."""
        return (
            sum(map(self.means.__getitem__, slots)),
            sum(map(self.variances.__getitem__, slots)),
        )


def logistic(log_odds: float) -> float:
    """1 / (1 + e^-x), for any x."""
    return 1.0 / (1.0 + math.exp(-max(-MAX_LOG_ODDS, min(log_odds, MAX_LOG_ODDS))))


def expected_approval(mean: float, variance: float) -> float:
    """The mean of the logistic of a normal distribution (MacKay's approximation, 1992)."""
    return logistic(mean / math.sqrt(1.0 + math.pi * variance / 8.0))


def chance_of(
    common: Table, own: Table, common_slots: Sequence[int], own_slots: Sequence[int], offset: float
) -> float:
    """How likely a payment is approved."""
    common_mean, common_variance = common.sum(common_slots)
    own_mean, own_variance = own.sum(own_slots)
    return expected_approval(offset + common_mean + own_mean, common_variance + own_variance)


def learn(
    common: Table,
    own: Table,
    common_slots: Sequence[int],
    own_slots: Sequence[int],
    offset: float,
    *,
    approved: bool,
    weight: float = 1.0,
) -> tuple[Table, Table]:
    """Both tables after an outcome; `weight` is below 1 for one that counts less."""
    common_mean, common_variance = common.sum(common_slots)
    own_mean, own_variance = own.sum(own_slots)
    variance = common_variance + own_variance
    chance = expected_approval(offset + common_mean + own_mean, variance)
    information = weight * max(chance * (1.0 - chance), 1e-4)
    step = weight * (float(approved) - chance) / (1.0 + information * variance)
    shrink = information / (1.0 + information * variance)
    return _moved(common, common_slots, step, shrink), _moved(own, own_slots, step, shrink)


def _moved(table: Table, slots: Sequence[int], step: float, shrink: float) -> Table:
    means, variances = list(table.means), list(table.variances)
    for slot in slots:
        variance = variances[slot]
        means[slot] += variance * step
        variances[slot] = max(variance - variance * variance * shrink, MIN_VARIANCE)
    return Table(tuple(means), tuple(variances))


@dataclass(frozen=True, slots=True)
class Fading:
    """By slot, what is left of what was learnt after some time."""

    left: tuple[float, ...]
    prior: tuple[float, ...]

    @classmethod
    def over(cls, layout: Layout, seconds: float) -> "Fading":
        """After `seconds`, at least 0."""
        if seconds < 0:
            raise ValueError(f"time goes back by {-seconds} s")
        kept = {life: 0.5 ** (seconds / life) for life in set(layout.half_lives_s)}
        return cls(tuple(map(kept.__getitem__, layout.half_lives_s)), layout.variances)


def fade(table: Table, fading: Fading, home: Sequence[float] | None = None) -> Table:
    """The table after a time in which nothing was seen. `home` are the means that it goes back to,
    by slot; 0 each without."""
    if home is None:
        means = tuple([m * left for m, left in zip(table.means, fading.left, strict=True)])
    else:
        means = tuple(
            [
                end + (mean - end) * left
                for mean, left, end in zip(table.means, fading.left, home, strict=True)
            ]
        )
    variances = tuple(
        [
            prior - (prior - variance) * left * left
            for variance, prior, left in zip(
                table.variances, fading.prior, fading.left, strict=True
            )
        ]
    )
    return replace(table, means=means, variances=variances)
