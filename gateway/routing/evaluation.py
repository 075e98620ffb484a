"""What a candidate policy would have been worth, from decisions that another one took.

Three estimates of its mean reward per decision, with w = candidate's probability / propensity of
the logged action, r the reward and q what a model expects:

| estimate | of a decision | |
|---|---|---|
| IPS | w·r | no bias, whatever the model; widest |
| SNIPS | Σw·r / Σw | within the rewards that were seen; its bias falls with the sample |
| DR | Σ π·q + w·(r − q) | no bias, whatever the model; narrower, the better the model |

All intervals treat customers, not decisions, as independent. What the log cannot say is not made
up: mass of the candidate on actions that had no chance, or more weight than `max_weight`, is worth
anything within the range of rewards, and intervals are wider by that.

Horvitz and Thompson 1952; Swaminathan and Joachims, "The Self-Normalized Estimator for
Counterfactual Learning", 2015; Dudik, Langford and Li, "Doubly Robust Policy Evaluation and
Learning", 2011; for what is not supported: Manski, "Nonparametric Bounds on Treatment Effects",
1990.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.routing.evaluation_interval import (
    MAX_CONFIDENCE,
    MIN_CUSTOMERS,
    Interval,
    interval,
    ratio,
)
from gateway.routing.evaluation_log import EvaluationError, LoggedDecision, RewardRange, checked

MAX_LOOKS = 1_000
WEIGHTS_CONFIDENCE = 0.999
"""Of the interval that the mean weight has to be in, if propensities are what was drawn from."""


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How a log is evaluated."""

    rewards: RewardRange = field(default_factory=RewardRange)
    confidence: float = 0.95
    """Of all that is said of candidates on this log together."""
    looks: int = 1
    """How many candidates are or were judged on this log: each gets its part of 1 − confidence."""
    max_weight: float = math.inf
    """Weights are clipped to this, which loses mass; infinity clips nothing."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1.0:
            raise ValueError(f"confidence: {self.confidence} is not within 0.5 and 1")
        if not 1 <= self.looks <= MAX_LOOKS:
            raise ValueError(f"looks: {self.looks} is not within 1 and {MAX_LOOKS}")
        if not self.max_weight >= 1.0:
            raise ValueError(f"max_weight: {self.max_weight} is below 1")

    @property
    def confidence_each(self) -> float:
        """Of each candidate's intervals (Bonferroni)."""
        return min(1.0 - (1.0 - self.confidence) / self.looks, MAX_CONFIDENCE)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean reward per decision."""

    value: float
    interval: Interval
    error: float
    """The standard error, by customers; of what was sampled, not of what is lost."""


@dataclass(frozen=True, slots=True)
class Support:
    """How much the log can say of the candidate."""

    decisions: int
    customers: int
    effective_decisions: float
    """(Σw)² / Σw², or what propensities let expect of it, whichever is less: the latter also knows
    of weights that might have been drawn and were not."""
    effective_customers: float
    """The same of the weights summed by customer, as drawn."""
    carrying: float
    """(Σw²)² / Σw⁴, as propensities let expect it: how many decisions carry the uncertainty. Few
    heavy ones do, so it may be far less than the effective sample."""
    max_weight: float
    """The highest weight, after clipping."""
    max_weight_share: float
    """Its part of all weight."""
    clipped: int
    """Decisions whose weight was clipped."""
    lost_share: float
    """How much of what the candidate would choose has no chance in the log, or is clipped."""
    unseen_share: float
    """How much of what the candidate would choose are actions that were never chosen in the log."""
    unseen: tuple[str, ...]
    """Those actions, in order of their names."""
    mean_weight: float
    mean_weight_interval: Interval
    """With WEIGHTS_CONFIDENCE; 1 − `lost_share` is in it if the propensities are right."""

    @property
    def effective(self) -> float:
        """The lesser of both."""
        return min(self.effective_decisions, self.effective_customers)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A candidate against the policy that was logged."""

    settings: EvaluationSettings
    logged: Estimate
    """The logging policy's own value: the mean of rewards."""
    ips: Estimate
    snips: Estimate
    dr: Estimate
    direct: float
    """What the model alone expects of the candidate, without interval: it may be as wrong as it
    likes."""
    gain: Estimate
    """Candidate less logging policy, both doubly robust, by the same decisions."""
    support: Support
    first_s: float
    last_s: float


@dataclass(slots=True)
class _Sums:
    """Of one customer."""

    decisions: int = 0
    rewards: float = 0.0
    weights: float = 0.0
    weighted: float = 0.0
    robust: float = 0.0
    gains: float = 0.0


@dataclass(slots=True)
class _Moments:
    """Second and fourth moments, each summed over decisions."""

    second: float = 0.0
    fourth: float = 0.0

    def add(self, second: float, fourth: float) -> None:
        """Of one decision."""
        self.second += second
        self.fourth += fourth

    @property
    def heavy(self) -> float:
        """The weight of those that carry the uncertainty."""
        return math.sqrt(self.fourth / self.second) if self.second > 0.0 else 0.0

    @property
    def carrying(self) -> float:
        """How many those are."""
        return self.second * self.second / self.fourth if self.fourth > 0.0 else 0.0


@dataclass(slots=True)
class _Log:
    """All that a log is reduced to; its size is that of the customers."""

    max_weight: float
    rewards: RewardRange
    customers: dict[str, _Sums] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)
    mass: dict[str, float] = field(default_factory=dict)
    decisions: int = 0
    direct: float = 0.0
    squares: float = 0.0
    moments: _Moments = field(default_factory=_Moments)
    """Of weights, as they may be drawn."""
    gain_moments: _Moments = field(default_factory=_Moments)
    """Of weights less 1."""
    highest: float = 0.0
    clipped: int = 0
    lost: float = 0.0
    lost_low: float = 0.0
    """The least that the lost mass may be worth beyond what the model expects of it; `lost_high`
    the most."""
    lost_high: float = 0.0
    first_s: float = math.inf
    last_s: float = -math.inf

    def add(self, logged: LoggedDecision) -> None:
        """One decision."""
        expected = expected_logged = own_predicted = own_weight = 0.0
        second = fourth = gain_second = gain_fourth = 0.0
        limit = self.max_weight
        for action, propensity, candidate, predicted in logged.options:
            expected += candidate * predicted
            expected_logged += propensity * predicted
            weight = candidate / propensity if propensity > 0.0 else math.inf
            if action == logged.action:
                own_predicted, own_weight = predicted, weight
            if candidate > 0.0:
                self.mass[action] = self.mass.get(action, 0.0) + candidate
                if weight > limit or propensity == 0.0:
                    kept = limit * propensity if propensity > 0.0 else 0.0
                    self._lose(candidate - kept, predicted)
            if propensity > 0.0:
                square = min(weight, limit) ** 2
                second += propensity * square
                fourth += propensity * square * square
                square = (min(weight, limit) - 1.0) ** 2
                gain_second += propensity * square
                gain_fourth += propensity * square * square
        self.clipped += own_weight > limit
        weight = min(own_weight, limit)
        residual = logged.reward - own_predicted
        sums = self.customers.get(logged.customer)
        if sums is None:
            sums = self.customers[logged.customer] = _Sums()
        sums.decisions += 1
        sums.rewards += logged.reward
        sums.weights += weight
        sums.weighted += weight * logged.reward
        sums.robust += expected + weight * residual
        sums.gains += expected - expected_logged + (weight - 1.0) * residual
        self.decisions += 1
        self.direct += expected
        self.moments.add(second, fourth)
        self.gain_moments.add(gain_second, gain_fourth)
        self.squares += weight * weight
        self.highest = max(self.highest, weight)
        self.chosen.add(logged.action)
        self.first_s = min(self.first_s, logged.time_s)
        self.last_s = max(self.last_s, logged.time_s)

    def _lose(self, mass: float, predicted: float) -> None:
        self.lost += mass
        self.lost_low += mass * (self.rewards.low - predicted)
        self.lost_high += mass * (self.rewards.high - predicted)


def evaluate(
    log: Iterable[LoggedDecision], settings: EvaluationSettings | None = None
) -> Evaluation:
    """Estimates a candidate over a log, read once, in any order of its decisions.

    Raises EvaluationError for a decision that cannot be, and below MIN_CUSTOMERS customers.
    """
    settings = settings or EvaluationSettings()
    rewards = settings.rewards
    reduced = _Log(settings.max_weight, rewards)
    for logged in checked(log, rewards):
        reduced.add(logged)
    if len(reduced.customers) < MIN_CUSTOMERS:
        raise EvaluationError(
            f"decisions of {len(reduced.customers)} customers, at least {MIN_CUSTOMERS}"
        )
    support = _support(reduced)
    estimates = _Estimates(reduced, settings, support)
    lost = support.lost_share
    lost_low, lost_high = (
        reduced.lost_low / reduced.decisions,
        reduced.lost_high / reduced.decisions,
    )
    return Evaluation(
        settings=settings,
        logged=estimates.value([(s.rewards, s.decisions) for s in estimates.sums], own=True),
        ips=estimates.value(
            [(s.weighted, s.decisions) for s in estimates.sums],
            low=lost * rewards.low,
            high=lost * rewards.high,
        ),
        snips=estimates.value(
            [(s.weighted, s.weights) for s in estimates.sums],
            kept=1.0 - lost,
            low=lost * rewards.low,
            high=lost * rewards.high,
        ),
        dr=estimates.value(
            [(s.robust, s.decisions) for s in estimates.sums], low=lost_low, high=lost_high
        ),
        direct=reduced.direct / reduced.decisions,
        gain=estimates.gain(lost_low, lost_high),
        support=support,
        first_s=reduced.first_s,
        last_s=reduced.last_s,
    )


class _Estimates:
    """Makes estimates of sums by customer."""

    def __init__(self, log: _Log, settings: EvaluationSettings, support: Support) -> None:
        self.sums = list(log.customers.values())
        self._log = log
        self._rewards = settings.rewards
        self._confidence = settings.confidence_each
        self._customers = support.customers
        self._freedom = min(support.effective, support.carrying, support.customers) - 1.0
        # How many decisions count as one, as rewards of a customer may all be the same.
        alike = support.effective_decisions / max(support.effective_customers, 1.0)
        self._alike = max(alike, 1.0)

    def value(
        self,
        pairs: list[tuple[float, float]],
        *,
        own: bool = False,
        kept: float = 1.0,
        low: float = 0.0,
        high: float = 0.0,
    ) -> Estimate:
        """Of a policy: `own` of the one that was logged, of whose choices none is lost.

        Of the candidate the share `kept` is estimated; the rest adds `low` to `high`.
        """
        bounds = self._rewards
        if math.fsum([b for _, b in pairs]) <= 0.0:
            middle = (bounds.low + bounds.high) / 2.0
            return Estimate(middle, Interval(bounds.low, bounds.high), math.inf)
        found = ratio(pairs)
        around = interval(found, self._confidence, self._customers - 1.0 if own else self._freedom)
        if own:
            least = self._left_open(1.0, self._log.decisions / self._customers)
        else:
            least = self._left_open(self._log.moments.heavy, self._alike)
        return Estimate(
            found.value,
            Interval(
                kept * min(around.low, found.value - least) + low,
                kept * max(around.high, found.value + least) + high,
            ).within(bounds.low, bounds.high),
            found.error,
        )

    def gain(self, low: float, high: float) -> Estimate:
        """Of the candidate over the logging policy; nothing where they are the same."""
        found = ratio([(s.gains, s.decisions) for s in self.sums])
        around = interval(found, self._confidence, self._freedom)
        least = self._left_open(self._log.gain_moments.heavy, self._alike)
        width = self._rewards.width
        return Estimate(
            found.value,
            Interval(
                min(around.low, found.value - least) + low,
                max(around.high, found.value + least) + high,
            ).within(-width, width),
            found.error,
        )

    def _left_open(self, heavy: float, alike: float) -> float:
        """How far off the value may be after rewards that happen to be all the same.

        Of n equal draws the chance of another reward may be log(2 / (1 − confidence)) / n (the rule
        of three, for both sides). Those that carry the uncertainty weigh `heavy` each.
        """
        chances = math.log(2.0 / (1.0 - self._confidence))
        return self._rewards.width * chances * heavy * alike / self._log.decisions


def _support(log: _Log) -> Support:
    sums = list(log.customers.values())
    total = math.fsum([s.weights for s in sums])
    by_customer = math.fsum([s.weights * s.weights for s in sums])
    kept = log.decisions - log.lost
    drawn = total * total / log.squares if log.squares else 0.0
    expected = kept * kept / log.moments.second if log.moments.second else 0.0
    found = ratio([(s.weights, s.decisions) for s in sums])
    unseen = sorted(log.mass.keys() - log.chosen)
    return Support(
        decisions=log.decisions,
        customers=len(sums),
        effective_decisions=min(drawn, expected),
        effective_customers=total * total / by_customer if by_customer else 0.0,
        carrying=log.moments.carrying,
        max_weight=log.highest,
        max_weight_share=log.highest / total if total else 0.0,
        clipped=log.clipped,
        lost_share=log.lost / log.decisions,
        unseen_share=math.fsum([log.mass[action] for action in unseen]) / log.decisions,
        unseen=tuple(unseen),
        mean_weight=found.value,
        mean_weight_interval=interval(found, WEIGHTS_CONFIDENCE, len(sums) - 1.0),
    )
