"""How likely each candidate is chosen, exactly, and the choice that follows from a seed.

Thompson sampling chooses a candidate as often as it is believed to be the best. That probability is
an integral, done here by quadrature; then come a floor, a cap of what is not the best guess, and
its cost. What is drawn from are these very probabilities, so they are the propensities whatever the
error of the integral.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CELLS = 20
"""Cells of the quadrature over all that is likely."""
REACH = 4.0
"""Standard deviations of a candidate that are looked at."""
MIN_SPREAD = 1e-6
_ROOT_2 = math.sqrt(2.0)
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Exploration:
    """How much may be tried out."""

    spread_factor: float = 0.7
    """How much of its uncertainty a candidate is given the benefit of; 0 tries nothing out."""
    max_share: float = 0.15
    """The most that all but the best guess get together."""
    max_cost: float = 0.001
    """The most that trying out may cost on average, of what a payment is worth."""
    probe_share: float = 0.04
    """The most that a candidate gets which is suspected of an incident and not the best guess."""
    min_share: float = 0.002
    """The least that any candidate gets: without it nothing could be said of it afterwards."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_share < 1.0:
            raise ValueError(f"max_share: {self.max_share} is not within 0 and 1")
        if not 0.0 <= self.min_share <= self.probe_share <= 1.0:
            raise ValueError("min_share, probe_share: not 0 <= min_share <= probe_share <= 1")
        if self.max_cost < 0.0 or self.spread_factor < 0.0:
            raise ValueError("max_cost, spread_factor: negative")


@dataclass(frozen=True, slots=True)
class Value:
    """What is believed of a candidate: mean and standard deviation of its worth."""

    mean: float
    spread: float
    suspect: bool = False


def best_guess(values: Sequence[Value]) -> int:
    """The candidate with the highest mean; the first of equals."""
    return max(range(len(values)), key=lambda n: values[n].mean)


def thompson_shares(values: Sequence[Value], factor: float) -> list[float]:
    """How likely each is the best, if all are independent and normal; they sum to 1."""
    if len(values) == 1:
        return [1.0]
    spreads = [max(factor * value.spread, MIN_SPREAD) for value in values]
    # Below every candidate's likely worth of which another is surely better, nothing can be best.
    low = max(v.mean - REACH * s for v, s in zip(values, spreads, strict=True))
    tops = [v.mean + REACH * s for v, s in zip(values, spreads, strict=True)]
    live = [n for n, top in enumerate(tops) if top > low]
    shares = [0.0] * len(values)
    if len(live) == 1:
        shares[live[0]] = 1.0
        return shares
    if len(live) == 2:
        first, second = live
        apart = values[first].mean - values[second].mean
        together = math.hypot(spreads[first], spreads[second])
        shares[first] = 0.5 + 0.5 * math.erf(apart / (together * _ROOT_2))
        shares[second] = 1.0 - shares[first]
        return shares
    erf = math.erf
    edges = _edges([(values[n].mean, spreads[n]) for n in live], low, max(tops))
    below = []
    for n in live:
        mean, scale = values[n].mean, 1.0 / (_ROOT_2 * spreads[n])
        below.append([0.5 + 0.5 * erf((x - mean) * scale) for x in edges])
    # At every edge each candidate is below with a chance that is not 0, as edges begin at `low`.
    all_below = [math.prod(column) for column in zip(*below, strict=True)]
    for n, mine in zip(live, below, strict=True):
        others = [every / own for every, own in zip(all_below, mine, strict=True)]
        shares[n] = sum(
            [
                (mine[cell + 1] - mine[cell]) * (others[cell] + others[cell + 1])
                for cell in range(len(edges) - 1)
            ]
        )
    total = sum(shares)
    return [share / total for share in shares]


def _edges(normals: Sequence[tuple[float, float]], low: float, high: float) -> list[float]:
    """Edges of cells from low to high, closer where the narrowest candidate is."""
    mean, spread = min(normals, key=lambda normal: normal[1])
    inner_low, inner_high = max(low, mean - REACH * spread), min(high, mean + REACH * spread)
    half = CELLS // 2
    edges = {low, high}
    edges.update([low + (high - low) * n / half for n in range(1, half)])
    if inner_high > inner_low:
        edges.update([inner_low + (inner_high - inner_low) * n / half for n in range(half + 1)])
    return sorted(edges)


def propensities(values: Sequence[Value], exploration: Exploration) -> tuple[float, ...]:
    """How likely each candidate is chosen; they sum to 1.

    The floor is within the cap: with more candidates than fit, each gets less than `min_share`.
    """
    if not values:
        raise ValueError("no candidate")
    best = best_guess(values)
    if len(values) == 1 or exploration.max_share == 0.0:
        return tuple([float(n == best) for n in range(len(values))])
    shares = thompson_shares(values, exploration.spread_factor)
    top = values[best].mean
    for n, value in enumerate(values):
        if n == best:
            shares[n] = 0.0
        elif value.suspect:
            shares[n] = min(shares[n], exploration.probe_share)
    cost = sum([share * (top - v.mean) for share, v in zip(shares, values, strict=True)])
    scale = exploration.max_cost / cost if cost > exploration.max_cost else 1.0
    floor = min(exploration.min_share, exploration.max_share / (len(values) - 1))
    tried = [0.0 if n == best else max(share * scale, floor) for n, share in enumerate(shares)]
    above = sum(tried) - floor * (len(values) - 1)
    room = max(exploration.max_share - floor * (len(values) - 1), 0.0)
    if above > room:
        fit = room / above
        tried = [0.0 if n == best else floor + (t - floor) * fit for n, t in enumerate(tried)]
    tried[best] = 1.0 - math.fsum(tried)
    return tuple(tried)


def uniform(seed: int) -> float:
    """A number in [0, 1) that a seed of 64 bits stands for (splitmix64, Steele et al. 2014)."""
    z = (seed + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def draw(shares: Sequence[float], seed: int) -> int:
    """The candidate that a seed stands for, each as often as its share says."""
    point = uniform(seed)
    for n, share in enumerate(shares):
        point -= share
        if point < 0.0:
            return n
    # Sums of floats end a little below 1: the last that may be chosen at all.
    return max(n for n, share in enumerate(shares) if share > 0.0)
