"""What is known of decisions that were taken: what a candidate policy is judged by.

A decision is written down with every action that it could have chosen, how likely it was, how
likely the candidate would have chosen it, and what a model expected of it. The model must not have
seen the decision's reward: scores that routing wrote down before the call, or a model fitted on
other customers (evaluation_model).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.routing.decision import CandidatesError, Decision

MAX_ACTIONS = 16
MAX_DECISIONS = 2_000_000
SUM_TOLERANCE = 1e-6
"""How far from 1 probabilities of one decision may sum: they were written down with 12 digits."""


class EvaluationError(ValueError):
    """A log that nothing can be said of; says which decision and what is wrong."""


class Option(NamedTuple):
    """An action that a decision could have chosen."""

    action: str
    propensity: float
    """How likely the logging policy was to choose it, exactly; 0 where it never would have."""
    candidate: float
    """How likely the candidate would have chosen it."""
    predicted: float = 0.0
    """The reward that a model expects of it."""


class LoggedDecision(NamedTuple):
    """A decision, and what came of it."""

    customer: str
    """Whose it is, by any name: rewards of one customer are not independent of each other."""
    action: str
    reward: float
    options: tuple[Option, ...]
    time_s: float = 0.0
    """When it was taken, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RewardRange:
    """What a reward can be at all: 0 to 1 for success."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"rewards: {self.low} to {self.high} is no range")

    @property
    def width(self) -> float:
        """Between the lowest and the highest."""
        return self.high - self.low


def checked(log: Iterable[LoggedDecision], rewards: RewardRange) -> Iterator[LoggedDecision]:
    """The decisions of a log, each checked when it comes.

    Raises EvaluationError for the first that cannot be, counted from 1.
    """
    for number, logged in enumerate(log, start=1):
        if number > MAX_DECISIONS:
            raise EvaluationError(f"more than {MAX_DECISIONS} decisions")
        if problem := _problem(logged, rewards):
            raise EvaluationError(f"decision {number}: {problem}")
        yield logged


def _problem(logged: LoggedDecision, rewards: RewardRange) -> str:
    if not rewards.low <= logged.reward <= rewards.high:
        return f"reward: {logged.reward} is not within {rewards.low:g} and {rewards.high:g}"
    if not 1 <= len(logged.options) <= MAX_ACTIONS:
        return f"{len(logged.options)} options, 1 to {MAX_ACTIONS}"
    propensities = candidates = 0.0
    own = None
    for option in logged.options:
        if not 0.0 <= option.propensity <= 1.0 + SUM_TOLERANCE:
            return f"{option.action}: propensity: {option.propensity} is no probability"
        if not 0.0 <= option.candidate <= 1.0 + SUM_TOLERANCE:
            return f"{option.action}: candidate: {option.candidate} is no probability"
        if not math.isfinite(option.predicted):
            return f"{option.action}: predicted: {option.predicted} is not a number"
        propensities += option.propensity
        candidates += option.candidate
        if option.action == logged.action:
            if own is not None:
                return f"{option.action}: an option twice"
            own = option
    if len({option.action for option in logged.options}) != len(logged.options):
        return "an option twice"
    if own is None:
        return f"{logged.action} was chosen and is no option"
    if own.propensity <= 0.0:
        return f"{logged.action} was chosen with propensity 0"
    if abs(propensities - 1.0) > SUM_TOLERANCE:
        return f"propensities sum to {propensities}"
    if abs(candidates - 1.0) > SUM_TOLERANCE:
        return f"the candidate's probabilities sum to {candidates}"
    return ""


def logged_decision(
    decision: Decision,
    shares: Mapping[str, float],
    *,
    customer: str,
    reward: float,
    time_s: float,
) -> LoggedDecision:
    """A decision of routing as evaluation takes it; what was expected is the scores' `value`.

    `shares` are the candidate's, by corridor: `candidate_shares` of a decision that the candidate
    took of the same payment and candidates. One that is not there has none. Raises EvaluationError
    if there is one which could not be chosen.
    """
    options = {score.corridor: score for score in decision.scores}
    if unknown := sorted(shares.keys() - options.keys()):
        raise EvaluationError(f"{unknown[0]} could not be chosen, and the candidate would")
    return LoggedDecision(
        customer,
        decision.corridor,
        reward,
        tuple(
            [
                Option(name, score.propensity, shares.get(name, 0.0), score.value)
                for name, score in options.items()
            ]
        ),
        time_s,
    )


def candidate_shares(decision: Decision) -> dict[str, float]:
    """How likely a policy was to choose each corridor, by a decision that it took in the shadow."""
    return {score.corridor: score.propensity for score in decision.scores}


def shares_of_order(order: Iterable[str], allowed: Iterable[str], share: float) -> dict[str, float]:
    """Of fixed rules that try out: the first of `order` that is allowed, and `share` elsewhere.

    What is tried out goes to the others in equal parts. Raises CandidatesError if none is allowed.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"share: {share} is not within 0 and 1")
    may = set(allowed)
    ranked = [name for name in order if name in may]
    if not ranked:
        raise CandidatesError("none of the order is allowed")
    if len(ranked) == 1:
        return {ranked[0]: 1.0}
    others = share / (len(ranked) - 1)
    return {name: others if rank else 1.0 - share for rank, name in enumerate(ranked)}
