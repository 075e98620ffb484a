"""Confidence intervals of ratios of sums over customers, for rewards whose weights are skewed.

Every value that evaluation estimates is a ratio Σa / Σb of sums by customer: for IPS a is weight ×
reward and b a count, for SNIPS b is the weight. At the true value v, the a − v·b of customers have
mean 0, so v is believed as long as a t-test does not reject that (Fieller's interval, clustered).
Weights are skewed, which makes the plain t-test miss on one side; its statistic is straightened by
Hall's transformation, which is exact to the next order and needs no bootstrap, so that the same
log always has the same interval.

Hall, "On the Removal of Skewness by Transformation", 1992. Fieller, "Some Problems in Interval
Estimation", 1954.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

MIN_CUSTOMERS = 2
MAX_CONFIDENCE = 0.999_999


class Interval(NamedTuple):
    """Between which values the true one is believed to be."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Between its ends."""
        return self.high - self.low

    def within(self, low: float, high: float) -> "Interval":
        """Its part that can be at all."""
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Σa / Σb over customers, and how a − value·b is spread."""

    value: float
    customers: int
    mean_b: float
    spread: float
    """The standard deviation of a − value·b over customers."""
    skewness: float
    covariance: float
    """Of a − value·b with b."""
    variance_b: float

    @property
    def error(self) -> float:
        """The standard error of `value`."""
        return self.spread / (math.sqrt(self.customers) * self.mean_b)


def ratio(sums: Iterable[tuple[float, float]]) -> Ratio:
    """The ratio of sums (a, b) by customer.

    Raises ValueError below MIN_CUSTOMERS, or if Σb is not positive.
    """
    pairs = list(sums)
    count = len(pairs)
    if count < MIN_CUSTOMERS:
        raise ValueError(f"{count} customers, at least {MIN_CUSTOMERS}")
    total_b = math.fsum([b for _, b in pairs])
    if total_b <= 0.0:
        raise ValueError("nothing to divide by")
    value = math.fsum([a for a, _ in pairs]) / total_b
    mean_b = total_b / count
    squares = products = squares_b = 0.0
    for a, b in pairs:
        z, d = a - value * b, b - mean_b
        squares += z * z
        products += z * d
        squares_b += d * d
    spread = math.sqrt(squares / (count - 1))
    cubes = sum([((a - value * b) / spread) ** 3 for a, b in pairs]) if spread > 0.0 else 0.0
    return Ratio(
        value=value,
        customers=count,
        mean_b=mean_b,
        spread=spread,
        skewness=cubes / count,
        covariance=products / (count - 1),
        variance_b=squares_b / (count - 1),
    )


def interval(found: Ratio, confidence: float, freedom: float) -> Interval:
    """The values that a t-test with `freedom` degrees of freedom does not reject.

    An end is infinite where Σb is so uncertain that nothing is rejected on that side.
    """
    if found.spread == 0.0:
        return Interval(found.value, found.value)
    quantile = t_quantile(confidence_tail(confidence), freedom)
    root = math.sqrt(found.customers)
    above = _straightened(quantile, found.skewness / root)
    below = _straightened(-quantile, found.skewness / root)
    return Interval(found.value - _distance(found, above), found.value - _distance(found, below))


def _straightened(quantile: float, skew: float) -> float:
    """What the t-statistic is when Hall's transformation of it is `quantile`; skew is γ / √n."""
    if abs(skew) < 1e-9:
        return quantile
    return 3.0 / skew * (math.cbrt(1.0 + skew * (quantile - skew / 6.0)) - 1.0)


def _distance(found: Ratio, statistic: float) -> float:
    """How far below the estimate the value is whose t-statistic is `statistic`.

    With d the distance, √n · b̄ · d = t · √(s² + 2·d·cov + d²·var_b), solved for d.
    """
    of_t = statistic * statistic / found.customers
    square = found.mean_b * found.mean_b - of_t * found.variance_b
    if square <= 0.0:
        return math.copysign(math.inf, statistic)
    half = of_t * found.covariance
    inside = half * half + square * of_t * found.spread * found.spread
    return (half + math.copysign(math.sqrt(inside), statistic)) / square


def confidence_tail(confidence: float) -> float:
    """The probability below the upper end: 0.975 for 0.95."""
    if not 0.5 <= confidence <= MAX_CONFIDENCE:
        raise ValueError(f"confidence: {confidence} is not within 0.5 and {MAX_CONFIDENCE}")
    return 0.5 + confidence / 2.0


def t_quantile(probability: float, freedom: float) -> float:
    """Student's t below which `probability` lies, for 0.5 to 1; better than 1 % from 3 on.

    Cornish and Fisher's expansion of it in the normal quantile (Abramowitz and Stegun 26.7.5).
    Below 3 degrees of freedom it is that of 3 of them.
    """
    z = NormalDist().inv_cdf(probability)
    v = max(freedom, 3.0)
    z2 = z * z
    terms = (
        z * (z2 + 1.0) / 4.0,
        z * (5.0 * z2**2 + 16.0 * z2 + 3.0) / 96.0,
        z * (3.0 * z2**3 + 19.0 * z2**2 + 17.0 * z2 - 15.0) / 384.0,
        z * (79.0 * z2**4 + 776.0 * z2**3 + 1482.0 * z2**2 - 1920.0 * z2 - 945.0) / 92160.0,
    )
    return z + sum(term / v**power for power, term in enumerate(terms, start=1))
