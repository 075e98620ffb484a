"""A decision as it is kept, and back: what is written is enough to choose the same again. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.routing.decision import Decision, Method, Score
from gateway.routing.features import Context, Slots
from gateway.routing_service.steps import Arm, Mode
from gateway.routing_service.terms import HASH_CHARACTERS, SPACE
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


def place_of(decision: Decision, arm: Arm) -> int:
    """Which candidate the payment is sent to: the first of the operators' order unless routing is
    followed."""
    return decision.rank if arm is Arm.ROUTED else 0


def propensity_of(decision: Decision, place: int, share: float) -> float:
    """How likely a payment was sent to a candidate, by both arms together."""
    by_rules = 1.0 if place == 0 else 0.0
    return min(share * decision.scores[place].propensity + (1.0 - share) * by_rules, 1.0)


def row_of(
    payment_id: str,
    merchant_id: str,
    decision: Decision,
    arm: Arm,
    context: Context,
    candidates: Sequence[Candidate],
    given: Circumstances,
    methods: Sequence[Method] = (),
) -> dict[str, Any]:
    """The row of `routing_decision`; `methods` are those of the candidates that may be used, where
    a corridor has several."""
    place = place_of(decision, arm)
    slots = slots_json(decision.slots)
    if methods:
        context = methods[place].context
        each = [slots_json(SPACE.slots(method.context)) for method in methods]
        slots = {**each[place], "each": each}
    return {
        "payment_id": payment_id,
        "merchant_id": merchant_id,
        "mode": given.mode.name,
        "arm": arm.value,
        "share": given.share,
        "corridor": decision.scores[place].corridor,
        "method": decision.scores[place].method,
        "propensity": propensity_of(decision, place, given.share),
        "action": decision.corridor,
        "action_method": decision.method,
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
    places = [(score.corridor, score.method) for score in scores]
    # Times have no payment methods of their own.
    place = places.index((row.action, getattr(row, "action_method", 0)))
    return Decision(
        corridor=row.action,
        propensity=scores[place].propensity,
        seed=row.seed,
        scores=scores,
        slots=slots_in(row.slots),
        rank=place,
    )


def rank_of(row: Any) -> int:
    """Of the candidate that the payment was sent to, in the operators' order, from 0."""
    places = [(score["corridor"], score.get("method", 0)) for score in row.scores]
    return places.index((row.corridor, row.method))


def slots_json(slots: Slots) -> dict[str, Any]:
    """Slots as they are kept."""
    return {"own": list(slots.own), "common": list(slots.common)}


def slots_in(kept: Mapping[str, Any]) -> Slots:
    """What `slots_json` made."""
    return Slots(tuple(kept["own"]), tuple(kept["common"]))


def features_hash(space_hash: str, slots: Mapping[str, Any]) -> str:
    """Names what a model saw of a payment."""
    text = json.dumps([space_hash, dict(slots)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]
