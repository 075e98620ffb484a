"""How much routing is allowed, what has to be shown for more, and when it falls back. Pure.

Some payments always follow the operators' order, also in the last step: without them nobody could
say what routing is worth.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

MIN_SHADOW_OUTCOMES = 500
"""Outcomes that the model has learnt from before it may choose anything."""
MIN_ARM_OUTCOMES = 200
"""Outcomes of each arm before they are compared."""
Z_95 = 1.959964
"""Of a two-sided interval of 95 %."""


class Mode(StrEnum):
    """What the setting GATEWAY_ROUTING says."""

    OFF = "off"
    SHADOW = "shadow"
    STAGED = "staged"


class Subject(StrEnum):
    """What is decided: each has a ladder of its own, of the same steps."""

    CORRIDOR = "CORRIDOR"
    """Where a payment is charged."""
    RETRY_TIME = "RETRY_TIME"
    """When a declined payment is tried again."""


class Step(StrEnum):
    """The ladder."""

    SHADOW = "SHADOW"
    FIRST = "FIRST"
    SECOND = "SECOND"
    FULL = "FULL"


SHARES: Mapping[Step, float] = MappingProxyType(
    {Step.SHADOW: 0.0, Step.FIRST: 0.05, Step.SECOND: 0.25, Step.FULL: 0.95}
)
LADDER = tuple(SHARES)


class Arm(StrEnum):
    """Whose choice a payment follows."""

    RULES = "RULES"
    ROUTED = "ROUTED"


def share_of(mode: Mode, step: Step) -> float:
    """The share of payments that follow routing."""
    return SHARES[step] if mode is Mode.STAGED else 0.0


def arm_of(draw: str, share: float) -> Arm:
    """The arm of a payment, by its id, or of one of its failovers, by id and number: always the
    same at one share, and kept when the share grows."""
    return Arm.ROUTED if _fraction(f"arm {draw}") < share else Arm.RULES


def seed_of(draw: str) -> int:
    """What the choice of a payment, or of one of its failovers, is drawn by, in 63 bits."""
    return _bits(f"seed {draw}") >> 1


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Outcomes of one arm that say something of the corridor: the customer's own errors, and what
    was blocked or never sent, do not."""

    outcomes: int = 0
    approved: int = 0

    @property
    def success(self) -> float:
        """The share that was approved; 0 without any."""
        return self.approved / self.outcomes if self.outcomes else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of both arms since the present step began, and of the model."""

    rules: ArmCount
    routed: ArmCount
    learned: int
    """Outcomes that went into the model."""

    @property
    def interval(self) -> tuple[float, float]:
        """By how much routed payments did better: 95 %, from each arm's Agresti-Coull estimate,
        which holds with few outcomes, too."""
        lows = [_spread(arm) for arm in (self.rules, self.routed)]
        (rules, rules_variance), (routed, routed_variance) = lows
        half = Z_95 * math.sqrt(rules_variance + routed_variance)
        return routed - rules - half, routed - rules + half

    @property
    def is_thin(self) -> bool:
        """Whether the arms cannot be compared yet."""
        return min(self.rules.outcomes, self.routed.outcomes) < MIN_ARM_OUTCOMES

    @property
    def figures(self) -> dict[str, Any]:
        """As it is written down and told."""
        low, high = self.interval
        return {
            "rules_outcomes": self.rules.outcomes,
            "rules_success": round(self.rules.success, 6),
            "routed_outcomes": self.routed.outcomes,
            "routed_success": round(self.routed.success, 6),
            "difference_low": round(low, 6),
            "difference_high": round(high, 6),
            "learned": self.learned,
        }


def must_fall_back(evidence: Evidence, margin: float) -> bool:
    """Whether routed payments do worse than the others by more than the margin, for certain."""
    return not evidence.is_thin and evidence.interval[1] < -margin


def problem_with_promotion(step: Step, evidence: Evidence, margin: float) -> str | None:
    """Why the next step is not to be taken from this one; None if it may be."""
    if step is Step.SHADOW:
        if evidence.learned < MIN_SHADOW_OUTCOMES:
            return f"the model has learnt from {evidence.learned} of {MIN_SHADOW_OUTCOMES} outcomes"
        return None
    if evidence.is_thin:
        return (
            f"{evidence.routed.outcomes} routed and {evidence.rules.outcomes} other outcomes since"
            f" the step began, {MIN_ARM_OUTCOMES} of each are needed"
        )
    if evidence.interval[0] < -margin:
        return (
            f"routed payments may do worse by {-evidence.interval[0]:.4f}, the margin is {margin}"
        )
    return None


def next_step(step: Step) -> Step | None:
    """The step above; None above the last."""
    place = LADDER.index(step) + 1
    return LADDER[place] if place < len(LADDER) else None


def _spread(arm: ArmCount) -> tuple[float, float]:
    """Mean and variance of an arm's success: two successes and two failures are added."""
    count = arm.outcomes + 4
    mean = (arm.approved + 2) / count
    return mean, mean * (1.0 - mean) / count


def _fraction(text: str) -> float:
    return _bits(text) / 2**64


def _bits(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
