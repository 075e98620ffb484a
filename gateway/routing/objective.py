"""What a corridor is worth for a payment: success alone, or what is left of the money.

Amounts here are expectations in minor units of the payment's currency, and so no integers; no money
is booked from them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Aim(StrEnum):
    """What is wanted."""

    SUCCESS = "SUCCESS"
    """As many payments as possible."""
    EXPECTED_VALUE = "EXPECTED_VALUE"
    """Success times margin, less fees, less expected disputes."""


@dataclass(frozen=True, slots=True)
class CorridorCosts:
    """What a payment costs on a corridor; minor units of the payment's currency, and shares."""

    attempt_fee_minor: float = 0.0
    """For each call, whatever comes of it."""
    success_fee_minor: float = 0.0
    success_fee_share: float = 0.0
    """Of the amount."""
    dispute_share: float = 0.0
    """How many of the successful payments are disputed."""
    dispute_fee_minor: float = 0.0
    dispute_loss_share: float = 1.0
    """How much of a disputed amount is lost."""

    def __post_init__(self) -> None:
        for name in ("success_fee_share", "dispute_share", "dispute_loss_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: {getattr(self, name)} is not within 0 and 1")
        for name in ("attempt_fee_minor", "success_fee_minor", "dispute_fee_minor"):
            fee = getattr(self, name)
            if not (math.isfinite(fee) and fee >= 0):
                raise ValueError(f"{name}: {fee} is not a fee")


@dataclass(frozen=True, slots=True)
class Objective:
    """A merchant's aim and figures."""

    aim: Aim = Aim.SUCCESS
    margin_share: float = 1.0
    """What the merchant earns of an amount, before fees of payment."""
    costs: Mapping[str, CorridorCosts] = field(default_factory=dict)
    """By corridor; one that is not there costs nothing."""

    def __post_init__(self) -> None:
        if not 0.0 < self.margin_share <= 1.0:
            raise ValueError(f"margin_share: {self.margin_share} is not within 0 and 1")


_FREE = CorridorCosts()


def worth(objective: Objective, corridor: str, amount_minor: int) -> tuple[float, float]:
    """(of a success, of a call): a call that succeeds with chance p is worth p · first + second.

    With EXPECTED_VALUE both are divided by the margin of the payment, so that 1 is a payment that
    succeeds for nothing, and caps mean the same for payments of all sizes.
    """
    if objective.aim is Aim.SUCCESS:
        return 1.0, 0.0
    costs = objective.costs.get(corridor, _FREE)
    amount = float(max(amount_minor, 1))
    margin = objective.margin_share * amount
    dispute = costs.dispute_share * (costs.dispute_fee_minor + costs.dispute_loss_share * amount)
    fees = costs.success_fee_minor + costs.success_fee_share * amount
    return (margin - fees - dispute) / margin, -costs.attempt_fee_minor / margin
