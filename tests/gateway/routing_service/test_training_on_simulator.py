"""A model that was trained on the first day of the corridor simulator is judged on the second."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.routing.attribution import Cause
from gateway.routing.codec import load
from gateway.routing.decision import decide
from gateway.routing.features import Context
from gateway.routing.state import RoutingState
from gateway.routing_service import evaluator, trainer
from gateway.routing_service.evaluator import COLUMNS, Candidate
from gateway.routing_service.record import Circumstances, row_of
from gateway.routing_service.steps import Mode, arm_of, seed_of
from gateway.routing_service.terms import SPACE, RoutingTerms
from gateway.stripe_client.failover import Candidate as Corridor
from gateway.stripe_client.failover import Route
from sandbox.simulators.corridors.play import Payment, payments_of
from sandbox.simulators.corridors.world import DAY_S, Settings, World, make_world

SEED, PAYMENTS, CORRIDORS = 1, 4_000, 2
BEGIN = datetime(2026, 11, 28, tzinfo=UTC)
# What decides knows nothing yet and tries out a lot.
TERMS = RoutingTerms(max_share=0.6, max_cost=1.0)
SHARE = 0.9


def context_of(payment: Payment) -> Context:
    return Context(
        payment.region,
        payment.network,
        payment.funding,
        payment.currency,
        payment.amount_minor,
        int(payment.time_s // 3_600) % 24,
        payment.recurring,
        payment.velocity,
        payment.retry,
    )


def cause_of(world: World, number: int, corridor: int) -> Cause:
    """What came of a payment there, by the world's own numbers."""
    technical, _, customer, issuer, _, _ = world.draws[number]
    if technical < world.technical[number, corridor]:
        return Cause.CORRIDOR
    if customer < world.customer_error[number]:
        return Cause.CUSTOMER
    return Cause.APPROVED if issuer < world.approval[number, corridor] else Cause.ISSUER


def logged(world: World) -> list[dict[str, Any]]:
    """What routing that knows nothing would have written down of the world's payments."""
    ignorant = RoutingState.new(SPACE, [str(c) for c in range(CORRIDORS)], BEGIN.timestamp())
    policy, digest = replace(TERMS.policy_of(""), caution_log_odds=0.0), TERMS.digest
    rows: list[dict[str, Any]] = []
    for payment in payments_of(world):
        if len(payment.allowed) < 2:
            continue
        name, context = f"pay_{payment.number:05}", context_of(payment)
        now = BEGIN + timedelta(seconds=payment.time_s)
        names = [str(corridor) for corridor in payment.allowed]
        decision = decide(
            policy, ignorant, context, names, seed=seed_of(name), now_s=now.timestamp()
        )
        given = Circumstances(
            mode=Mode.STAGED,
            share=SHARE,
            model_version="0" * 64,
            policy_hash=digest,
            space_hash=ignorant.space_hash,
            decide_time=now,
        )
        candidates = [Corridor(each, Route(each, "pm_1")) for each in names]
        row = row_of(name, "m_1", decision, arm_of(name, SHARE), context, candidates, given)
        cause = cause_of(world, payment.number, int(row["corridor"]))
        if cause is not Cause.CUSTOMER:
            known = {"customer": name, "amount_minor": payment.amount_minor, "cause": cause}
            rows.append({**row, **known, "time_s": now.timestamp()})
    return rows


def lines_of(rows: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps([row[name] for name in COLUMNS]).encode() + b"\n" for row in rows]


def judged(candidate: Candidate, rows: list[dict[str, Any]], model: str = "") -> dict[str, Any]:
    asked = evaluator.Asked(candidate, 1, RoutingTerms().model_dump_json(), model)
    return evaluator.answer_to([asked.to_line(), *lines_of(rows), b"\n"])


def test_what_was_trained_on_one_day_beats_the_rules_on_the_next() -> None:
    world = make_world(SEED, Settings(payments=PAYMENTS, corridors=CORRIDORS))
    rows, middle_s = logged(world), BEGIN.timestamp() + DAY_S
    first = [row for row in rows if row["time_s"] < middle_s]
    second = [row for row in rows if row["time_s"] >= middle_s]
    corridors = tuple(str(corridor) for corridor in range(CORRIDORS))
    asked = trainer.Asked(BEGIN.timestamp(), middle_s, corridors, "a test")
    told = trainer.answer_to([asked.to_line(), *reversed(lines_of(first)), b"\n"])
    held = json.loads(told["model"])["training"]["held_out"]
    assert held["log_loss"] < min(held["base_log_loss"], held["online_log_loss"])
    model = judged(Candidate.MODEL, second, told["model"])
    order = judged(Candidate.ORDER, second)
    assert model["refusals"] == []
    assert model["evaluation"]["dr"]["interval"][0] > order["evaluation"]["dr"]["interval"][1]
    # And by the world's own probabilities, in which there is no luck.
    state, policy = load(told["model"].encode(), SPACE), RoutingTerms(max_share=0.0).policy_of("")
    mine = rules = 0.0
    for payment in payments_of(world)[::4]:
        if payment.time_s >= DAY_S and len(payment.allowed) > 1:
            names = [str(corridor) for corridor in payment.allowed]
            now_s = BEGIN.timestamp() + payment.time_s
            decision = decide(policy, state, context_of(payment), names, seed=1, now_s=now_s)
            success = world.success[payment.number]
            mine += success[int(decision.corridor)]
            rules += success[payment.allowed[0]]
    assert mine > 1.5 * rules
