"""A decision as it is kept, and back: what is written is enough to choose the same again. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.routing.decision import Decision, Score
from gateway.routing.features import Context, Slots
from gateway.routing_service.steps import Arm, Mode
from gateway.routing_service.terms import HASH_CHARACTERS
from gateway.stripe_client.failover import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a decision was made with, besides the payment."""

    mode: Mode
    share: float
    model_version: str
    policy_hash: str
    space_hash: str
    decide_time: datetime
    trained_version: str = ""
    """The trained model that the deciding one went on from; empty for none."""


def corridor_of(decision: Decision, arm: Arm) -> str:
    """Where the payment is sent: the first of the operators' order unless routing is followed."""
    return decision.corridor if arm is Arm.ROUTED else decision.scores[0].corridor


def propensity_of(decision: Decision, corridor: str, share: float) -> float:
    """How likely a payment was sent to a corridor, by both arms together."""
    drawn = {score.corridor: score.propensity for score in decision.scores}[corridor]
    by_rules = 1.0 if corridor == decision.scores[0].corridor else 0.0
    return min(share * drawn + (1.0 - share) * by_rules, 1.0)


def row_of(
    payment_id: str,
    merchant_id: str,
    decision: Decision,
    arm: Arm,
    context: Context,
    candidates: Sequence[Candidate],
    given: Circumstances,
) -> dict[str, Any]:
    """The row of `routing_decision`."""
    corridor = corridor_of(decision, arm)
    slots = {"own": list(decision.slots.own), "common": list(decision.slots.common)}
    return {
        "payment_id": payment_id,
        "merchant_id": merchant_id,
        "mode": given.mode.name,
        "arm": arm.value,
        "share": given.share,
        "corridor": corridor,
        "propensity": propensity_of(decision, corridor, given.share),
        "action": decision.corridor,
        "seed": decision.seed,
        "explored": arm is Arm.ROUTED and decision.explored,
        "model_version": given.model_version,
        "trained_version": given.trained_version,
        "policy_hash": given.policy_hash,
        "features_hash": features_hash(given.space_hash, slots),
        "region": context.region,
        "network": context.network,
        "slots": slots,
        "scores": [score._asdict() for score in decision.scores],
        "excluded": [
            {"corridor": candidate.corridor, "reason": candidate.excluded.value}
            for candidate in candidates
            if candidate.excluded is not None
        ],
        "decide_time": given.decide_time,
    }


def decision_of(row: Any) -> Decision:
    """The decision of a row."""
    scores = tuple(Score(**score) for score in row.scores)
    names = [score.corridor for score in scores]
    place = names.index(row.action)
    return Decision(
        corridor=row.action,
        propensity=scores[place].propensity,
        seed=row.seed,
        scores=scores,
        slots=Slots(tuple(row.slots["own"]), tuple(row.slots["common"])),
        rank=place,
    )


def rank_of(row: Any) -> int:
    """Of the corridor that the payment was sent to, in the operators' order, from 0."""
    return [score["corridor"] for score in row.scores].index(row.corridor)


def features_hash(space_hash: str, slots: Mapping[str, Sequence[int]]) -> str:
    """Names what a model saw of a payment."""
    text = json.dumps([space_hash, dict(slots)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]
