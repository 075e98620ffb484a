"""Which verdicts a step may rest on. Pure.

A step that acts wants a verdict of EvaluatePolicy that accepts the very model, or an operator's
word instead. The newest verdict counts: who asks until the answer is yes has the last no.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

JUDGEMENT_VALID = timedelta(days=1)
"""A verdict counts for so long after the last decision that it may have looked at: corridors
change."""


class JudgementProblem(StrEnum):
    """Why a step cannot rest on the verdicts of a model."""

    MISSING = "MISSING"
    """There is none."""
    REFUSED = "REFUSED"
    """The newest one refuses the model."""
    OUTDATED = "OUTDATED"
    """The newest one is of decisions of more than a day ago."""
    OTHER_TERMS = "OTHER_TERMS"
    """The newest one is by other terms of operators than those of now."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What EvaluatePolicy has said of a model."""

    number: int
    accepted: bool
    refusals: tuple[str, ...]
    """The reasons, by name."""
    policy_hash: str
    """Of the operators' terms."""
    until_time: datetime
    """The end of the window of decisions."""


def problem_with_judgement(
    newest: Judgement | None, policy_hash: str, now: datetime
) -> JudgementProblem | None:
    """Why a step may not rest on a model's newest verdict; None if it may."""
    if newest is None:
        return JudgementProblem.MISSING
    if not newest.accepted:
        return JudgementProblem.REFUSED
    if newest.until_time < now - JUDGEMENT_VALID:
        return JudgementProblem.OUTDATED
    if newest.policy_hash != policy_hash:
        return JudgementProblem.OTHER_TERMS
    return None
