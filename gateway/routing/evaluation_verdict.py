"""Whether a candidate may be promoted by what a log says of it, and if not, why not.

It is refused unless everything speaks for it: the log is large and alike enough to say anything,
the candidate did not learn from it, and its interval is above that of the logging policy. Each
refusal is a sentence with its figures.
"""

from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from gateway.routing.evaluation import Evaluation


class Reason(StrEnum):
    """Why a candidate is refused, in the order in which they are given."""

    THIN_SUPPORT = "THIN_SUPPORT"
    """The effective sample is too small, or few decisions carry all uncertainty."""
    NEVER_LOGGED = "NEVER_LOGGED"
    """It would choose actions that are not in the log."""
    LOST_MASS = "LOST_MASS"
    """Too much of what it would choose had no chance, or is clipped."""
    HEAVY_WEIGHT = "HEAVY_WEIGHT"
    """One decision decides."""
    WRONG_WEIGHTS = "WRONG_WEIGHTS"
    """Weights do not average to what right propensities make them: what was drawn from is another
    distribution than what was written down."""
    TRAINED_ON_LOG = "TRAINED_ON_LOG"
    """The candidate knows rewards of the log that it is judged by."""
    WORSE = "WORSE"
    """Its interval is below that of the logging policy."""
    INTERVALS_OVERLAP = "INTERVALS_OVERLAP"
    """It may be no better than the logging policy."""


@dataclass(frozen=True, slots=True)
class PromotionBounds:
    """What a candidate has to reach. Why these figures: docs/routing.md."""

    min_effective: float = 400.0
    """The least effective sample, of decisions and of customers."""
    min_carrying: float = 100.0
    """The least number of decisions that carry the uncertainty."""
    max_unseen_share: float = 0.001
    """The most that a candidate may choose what was never chosen."""
    max_lost_share: float = 0.01
    max_weight: float = 200.0
    max_weight_share: float = 0.02
    """The most that one decision may weigh, of all."""
    min_gain: float = 0.0
    """How far the candidate's interval has to be above the logging policy's."""
    power: float = 0.8
    """How likely a gain of `detectable_gain` would be seen."""
    mean_weight_slack: float = 1e-6
    """How far the mean weight may be off beyond its interval: rounding of probabilities."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.power < 1.0:
            raise ValueError(f"power: {self.power} is not within 0.5 and 1")
        for name in ("max_unseen_share", "max_lost_share", "max_weight_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: {getattr(self, name)} is not within 0 and 1")
        for name in (
            "min_effective",
            "min_carrying",
            "max_weight",
            "min_gain",
            "mean_weight_slack",
        ):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name}: {getattr(self, name)} is negative")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason."""

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted if there is no refusal."""

    refusals: tuple[Refusal, ...]
    detectable_gain: float
    """The smallest true gain that a log of this size would show with the power of the bounds."""
    decisions_needed: float | None
    """How many decisions would show the estimated gain; None if it is none."""
    power_sentence: str

    @property
    def accepted(self) -> bool:
        """Whether the candidate may be promoted."""
        return not self.refusals


def judge(
    evaluation: Evaluation,
    bounds: PromotionBounds | None = None,
    *,
    trained_until_s: float | None = None,
) -> Verdict:
    """Judges a candidate by its doubly robust estimate.

    `trained_until_s` is when the last outcome was seen that the candidate learnt from, where it is
    one fixed model; None for one whose shares were written down before each outcome.
    """
    bounds = bounds or PromotionBounds()
    refusals = [
        *_of_support(evaluation, bounds),
        *_of_training(evaluation, trained_until_s),
        *_of_value(evaluation, bounds),
    ]
    detectable = detectable_gain(evaluation, bounds)
    gain = evaluation.gain.value - bounds.min_gain
    needed = (
        evaluation.support.decisions * (detectable - bounds.min_gain) ** 2 / gain**2
        if gain > 0.0
        else None
    )
    sentence = (
        f"With {evaluation.support.decisions} decisions a gain of {detectable:.4f} would be shown "
        f"with probability {bounds.power:g}; the estimated gain is {evaluation.gain.value:.4f}"
    )
    if needed is not None:
        sentence += f", for which about {needed:.0f} are needed"
    return Verdict(tuple(refusals), detectable, needed, sentence + ".")


def detectable_gain(evaluation: Evaluation, bounds: PromotionBounds) -> float:
    """The smallest true gain after which the candidate's interval is clear of the other's.

    The interval of the gain itself would show a smaller one, since both values come of the same
    decisions; that intervals may not overlap is the stricter rule.
    """
    below = evaluation.dr.value - evaluation.dr.interval.low
    above = evaluation.logged.interval.high - evaluation.logged.value
    luck = NormalDist().inv_cdf(bounds.power) * evaluation.gain.error
    return bounds.min_gain + below + above + luck


def _of_support(evaluation: Evaluation, bounds: PromotionBounds) -> list[Refusal]:
    support = evaluation.support
    refusals = []
    if support.effective < bounds.min_effective or support.carrying < bounds.min_carrying:
        refusals.append(
            Refusal(
                Reason.THIN_SUPPORT,
                f"{support.decisions} decisions of {support.customers} customers say as much of "
                f"the candidate as {support.effective:.0f} of its own would, and "
                f"{support.carrying:.0f} of them carry the uncertainty; at least "
                f"{bounds.min_effective:g} and {bounds.min_carrying:g} are wanted.",
            )
        )
    if support.unseen_share > bounds.max_unseen_share:
        refusals.append(
            Refusal(
                Reason.NEVER_LOGGED,
                f"The candidate would choose {', '.join(support.unseen)} for "
                f"{support.unseen_share:.2%} of decisions, and the log never did; at most "
                f"{bounds.max_unseen_share:.2%} is allowed.",
            )
        )
    if support.lost_share > bounds.max_lost_share:
        refusals.append(
            Refusal(
                Reason.LOST_MASS,
                f"{support.lost_share:.2%} of what the candidate would choose had no chance in "
                f"the log or weighs more than {evaluation.settings.max_weight:g}; at most "
                f"{bounds.max_lost_share:.2%} is allowed.",
            )
        )
    if support.max_weight > bounds.max_weight or support.max_weight_share > bounds.max_weight_share:
        refusals.append(
            Refusal(
                Reason.HEAVY_WEIGHT,
                f"One decision has the weight of {support.max_weight:.1f}, "
                f"{support.max_weight_share:.2%} of all; at most {bounds.max_weight:g} and "
                f"{bounds.max_weight_share:.2%} are allowed.",
            )
        )
    wanted, found = 1.0 - support.lost_share, support.mean_weight_interval
    slack = bounds.mean_weight_slack
    if not found.low - slack <= wanted <= found.high + slack:
        refusals.append(
            Refusal(
                Reason.WRONG_WEIGHTS,
                f"The mean weight is {support.mean_weight:.4f}, between {found.low:.4f} and "
                f"{found.high:.4f} by chance, where right propensities make it {wanted:.4f}.",
            )
        )
    return refusals


def _of_training(evaluation: Evaluation, trained_until_s: float | None) -> list[Refusal]:
    if trained_until_s is None or trained_until_s < evaluation.first_s:
        return []
    return [
        Refusal(
            Reason.TRAINED_ON_LOG,
            f"The candidate learnt from outcomes until {trained_until_s:.0f}, and the log begins "
            f"at {evaluation.first_s:.0f}: it is judged by what it was fitted to.",
        )
    ]


def _of_value(evaluation: Evaluation, bounds: PromotionBounds) -> list[Refusal]:
    mine, theirs = evaluation.dr.interval, evaluation.logged.interval
    intervals = (
        f"The candidate is worth {evaluation.dr.value:.4f} ({mine.low:.4f} to {mine.high:.4f}), "
        f"the logging policy {evaluation.logged.value:.4f} ({theirs.low:.4f} to {theirs.high:.4f})"
    )
    if mine.high < theirs.low:
        return [Refusal(Reason.WORSE, f"{intervals}: it is worse.")]
    if mine.low - theirs.high > bounds.min_gain:
        return []
    margin = f" by more than {bounds.min_gain:g}" if bounds.min_gain else ""
    sure, gain = evaluation.settings.confidence_each, evaluation.gain.interval
    return [
        Refusal(
            Reason.INTERVALS_OVERLAP,
            f"{intervals}: they are not apart{margin}, with {sure:.3%} confidence; the gain is "
            f"{gain.low:.4f} to {gain.high:.4f}.",
        )
    ]
