"""What Radar and the network made of a charge, as Stripe gives it: nothing of it is computed here.

https://docs.stripe.com/api/charges/object#charge_object-outcome
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RiskLevel(StrEnum):
    """The levels of risk that are more than usual, as Stripe names them."""

    ELEVATED = "elevated"
    HIGHEST = "highest"


@dataclass(frozen=True, slots=True)
class RadarOutcome:
    """The `outcome` of a charge, in Stripe's words; empty where Stripe says nothing.

    The text for sellers is left out: it says the same in a sentence. `risk_score` is None without
    Radar for Fraud Teams, and of what is no card.
    """

    type: str
    risk_level: str = ""
    risk_score: int | None = None
    network_status: str = ""
    reason: str = ""
    advice_code: str = ""
    network_advice_code: str = ""
    network_decline_code: str = ""


def radar_outcome_of(charge: Any) -> RadarOutcome | None:
    """The outcome of a charge; None of one that is not expanded, or that has no outcome yet."""
    outcome = charge.get("outcome") if isinstance(charge, Mapping) else None
    if not isinstance(outcome, Mapping) or not outcome.get("type"):
        return None
    score = outcome.get("risk_score")
    return RadarOutcome(
        type=str(outcome["type"]),
        risk_score=score if isinstance(score, int) and not isinstance(score, bool) else None,
        **{name: str(outcome.get(name) or "") for name in _TEXTS},
    )


_TEXTS = (
    *("risk_level", "network_status", "reason"),
    *("advice_code", "network_advice_code", "network_decline_code"),
)
