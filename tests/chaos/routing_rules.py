"""What is promised of routing (docs/routing.md), as rules over evidence.

Where a payment went is read from the twin's journal and books. Of the gateways' database there are
the records of decisions, which have to say all that the choice follows from: it is made again here,
by the pure rules of `gateway/routing`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gateway.routing.health import HealthSettings
from gateway.routing.propensity import Exploration, Value, draw, propensities
from gateway.routing_service.steps import Arm, arm_of, seed_of
from tests.chaos.evidence import (
    APPROVED,
    Decided,
    Intent,
    Learnt,
    OutcomeLookup,
    PaymentRecord,
    Post,
)
from tests.chaos.verdict import Rule, Violation

CREATE = "/v1/payment_intents"
# Answers by which Stripe certainly has not taken a request on, and another account may be asked.
REFUSALS = frozenset({401, 403, 429})
# The share of payments that follow routing, by step.
SHARES = {"SHADOW": 0.0, "FIRST": 0.05, "SECOND": 0.25, "FULL": 0.95}
# Whom an outcome is put down to, by Stripe's word; what is not named is the issuer's.
CAUSES = {
    APPROVED: "APPROVED",
    "insufficient_funds": "CUSTOMER",
    "authentication_required": "CUSTOMER",
    "payment_intent_authentication_failure": "CUSTOMER",
    "processing_error": "CORRIDOR",
}
CONNECT_FAILED = "CONNECT_FAILED"
# A lesson must have come of payments in these states.
DECIDED_STATES = frozenset({"SUCCEEDED", "AUTHORIZED", "DECLINED"})
EXACT = 1e-9


def allowed_corridors(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Nothing was charged, nor thought of, where client and operators do not let it."""
    request_of = {payment.id: payment.request_id for payment in evidence.payments}
    for intent in evidence.intents:
        may = evidence.may_use.get(request_of.get(intent.payment_id, ""))
        if may is not None and intent.corridor not in may:
            why = f"{intent.id} is at {intent.corridor}, allowed are {may}"
            yield Violation("corridor", intent.payment_id, why)
    for made in evidence.intelligence.decided:
        may = evidence.may_use.get(request_of.get(made.payment_id, ""))
        if may is None:
            continue
        thought_of = [each.corridor for each in made.believed]
        if not {*thought_of, made.corridor, made.action} <= set(may):
            why = f"decided between {thought_of}, allowed are {may}"
            yield Violation("corridor", made.payment_id, why)
        elif made.hop == 0 and thought_of[:1] != [may[0]]:
            yield Violation("corridor", made.payment_id, f"{thought_of} do not begin with {may[0]}")
        elif made.hop and may[0] in thought_of:
            yield Violation("corridor", made.payment_id, f"{may[0]} is chosen again")


def stays_while_unknown(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Another corridor is asked once all before have certainly refused, and never after UNKNOWN."""
    open_at: dict[str, Post] = {}
    left: dict[str, str] = {}
    for post in evidence.posts:
        made_for = evidence.charges.get(post.key.rpartition("-")[0])
        if post.path != CREATE or made_for is None:
            continue
        payment_id, corridor = made_for
        before = open_at.get(payment_id)
        if before is None:
            if not _has_refused(post, evidence):
                open_at[payment_id] = replace(post, account=corridor)
        elif before.account != corridor:
            answer = before.status or "nothing"
            why = f"asked at {corridor} after {before.account} had answered {answer}"
            left.setdefault(payment_id, why)
    for payment_id, why in left.items():
        yield Violation("left while unknown", payment_id, why)


def _has_refused(post: Post, evidence: OutcomeLookup) -> bool:
    """Whether Stripe has certainly done nothing. A gateway that was put back may have forgotten
    that it did not get to know, and Stripe does not tell of what it has not done."""
    at = datetime.fromtimestamp(post.time, UTC)
    return not post.acted and (post.status in REFUSALS or evidence.may_be_lost(at))


def one_record(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Of each choice there is one record, of a payment that is known, and it is what was done."""
    made = Counter((decided.payment_id, decided.hop) for decided in evidence.intelligence.decided)
    for (payment_id, hop), count in made.items():
        if count > 1:
            yield Violation("decision", payment_id, f"{count} records of choice {hop}")
    payments = {payment.id: payment for payment in evidence.payments}
    for decided in evidence.intelligence.decided:
        if decided.payment_id not in payments:
            yield Violation("decision", decided.payment_id, "is decided, but nobody knows it")
    chosen = {decided.payment_id: decided for decided in evidence.intelligence.decided}
    for intent in evidence.intents:
        payment = payments.get(intent.payment_id)
        may = evidence.may_use.get(payment.request_id) if payment is not None else None
        if payment is None or may is None or payment.left:
            continue
        if evidence.may_be_lost(payment.create_time):
            # What was lost, with its decision, is found again without it.
            continue
        first = chosen.get(payment.id)
        expected = first.corridor if first is not None else may[0]
        if intent.corridor != expected:
            why = f"{intent.id} is at {intent.corridor}; it was to go to {expected}"
            yield Violation("decision", payment.id, why)


def reproducible(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Each choice follows from its record, and so does how likely it was."""
    shares = {SHARES[step] for step in (*evidence.intelligence.steps, "SHADOW")}
    for decided in evidence.intelligence.decided:
        for why in _untrue(decided, shares):
            yield Violation("decision", decided.payment_id, why)


def _untrue(decided: Decided, shares: set[float]) -> Iterator[str]:
    believed = decided.believed
    drawn = [each.propensity for each in believed]
    names = [each.corridor for each in believed]
    if not 0.0 < decided.propensity <= 1.0:
        yield f"a propensity of {decided.propensity}"
    if not math.isclose(math.fsum(drawn), 1.0, abs_tol=EXACT):
        yield f"propensities of candidates sum to {math.fsum(drawn)}"
    if len(set(names)) != len(names) or set(names) & set(decided.excluded):
        yield f"candidates {names}, excluded {decided.excluded}"
    if decided.corridor not in names or decided.action not in names:
        yield f"{decided.corridor} or {decided.action} is no candidate"
        return
    if decided.share not in shares:
        yield f"a share of {decided.share}, by the steps it is one of {sorted(shares)}"
    yield from _other_choice(decided, names, drawn)
    for each in believed:
        # Success alone is aimed at: its chance, less what foresight takes off.
        worth = (1.0 - each.discount) * each.approval * (1.0 - each.technical_failure)
        if not math.isclose(each.value, worth, abs_tol=EXACT):
            yield f"{each.corridor} is worth {each.value}, by its parts {worth}"


def _other_choice(decided: Decided, names: Sequence[str], drawn: Sequence[float]) -> Iterator[str]:
    """What is otherwise when it is chosen again."""
    suspect_from = HealthSettings().suspect_from
    values = [
        Value(each.value, each.value_spread, each.incident >= suspect_from)
        for each in decided.believed
    ]
    again = propensities(values, Exploration())
    if any(abs(one - other) > EXACT for one, other in zip(again, drawn, strict=True)):
        yield f"candidates' propensities {list(drawn)}, by what was believed {list(again)}"
    named = decided.payment_id if not decided.hop else f"{decided.payment_id} {decided.hop}"
    if decided.seed != seed_of(named):
        yield f"drawn by {decided.seed}, which is not its number"
    if decided.action != (action := names[draw(drawn, decided.seed)]):
        yield f"routing chose {decided.action}, by its record {action}"
    arm = arm_of(named, decided.share)
    if decided.arm != arm:
        yield f"followed {decided.arm}, by its id {arm}"
    followed = decided.action if decided.arm == Arm.ROUTED else names[0]
    if decided.corridor != followed:
        yield f"sent to {decided.corridor}, by its record {followed}"
    likely = decided.share * dict(zip(names, drawn, strict=True))[decided.corridor]
    if decided.corridor == names[0]:
        likely += 1.0 - decided.share
    if not math.isclose(decided.propensity, likely, abs_tol=EXACT):
        yield f"a propensity of {decided.propensity}, by its record {likely}"
    best = max(decided.believed, key=lambda each: each.value).corridor
    if decided.explored != (decided.arm == Arm.ROUTED and decided.action != best):
        yield f"explored is {decided.explored}, the best guess was {best}"


def lessons(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Routing learns once from what is known, as Stripe's books have it, and from nothing else."""
    intelligence = evidence.intelligence
    decided = {(made.payment_id, made.hop): made for made in intelligence.decided}
    payments = {payment.id: payment for payment in evidence.payments}
    intents: dict[tuple[str, str], list[Intent]] = defaultdict(list)
    for intent in evidence.intents:
        intents[intent.payment_id, intent.corridor].append(intent)
    states: dict[str, set[str]] = defaultdict(set)
    for change in evidence.feed:
        states[change.payment_id].add(change.state)
    for learnt in intelligence.learnt:
        made, payment = (
            decided.get((learnt.payment_id, learnt.hop)),
            payments.get(learnt.payment_id),
        )
        if made is None or payment is None:
            yield Violation("lesson", learnt.payment_id, "learnt of what nobody has decided")
            continue
        if (learnt.arm, learnt.corridor) != (made.arm, made.corridor):
            why = f"learnt of {learnt.arm} at {learnt.corridor}, not {made.arm} at {made.corridor}"
            yield Violation("lesson", learnt.payment_id, why)
        causes = _causes(learnt, payment, intents[payment.id, made.corridor], states[payment.id])
        if learnt.cause not in causes:
            why = f"put down to {learnt.cause}, by Stripe's books {sorted(causes)}"
            yield Violation("lesson", learnt.payment_id, why)
    yield from _miscounted(evidence, decided, payments)


def _causes(
    learnt: Learnt, payment: PaymentRecord, intents: Sequence[Intent], states: set[str]
) -> set[str]:
    """What the attempt may be put down to."""
    since = payment.left[learnt.hop :]
    reasons = {reason for corridor, reason in since if corridor == learnt.corridor}
    if reasons:
        return {"CORRIDOR" if reason == CONNECT_FAILED else "NOBODY" for reason in reasons}
    said = [word for intent in intents for word in intent.said]
    causes = {CAUSES.get(word, "ISSUER") for word in said}
    if learnt.was_unknown and "processing_error" in said:
        # That it was unknown is what was learnt of the corridor.
        causes.add("NOBODY")
    if not said or states & {"FAILED", "CANCELED", "EXPIRED"}:
        causes.add("NOBODY")
    if "FAILED" in states:
        # Not performed, or no connection; it may have begun anew since.
        causes.add("CORRIDOR")
    return causes


def _miscounted(
    evidence: OutcomeLookup,
    decided: Mapping[tuple[str, int], Decided],
    payments: Mapping[str, PaymentRecord],
) -> Iterator[Violation]:
    intelligence = evidence.intelligence
    known = Counter((learnt.payment_id, learnt.hop) for learnt in intelligence.learnt)
    for (payment_id, _), count in known.items():
        if count > 1:
            yield Violation("lesson", payment_id, f"learnt from {count} times")
    for made, choice in decided.items():
        payment = payments.get(choice.payment_id)
        # What a recovery has found was decided by nobody.
        is_decided = payment is not None and payment.state in DECIDED_STATES
        if is_decided and made not in known and not evidence.may_be_lost(choice.decide_time):
            yield Violation("lesson", choice.payment_id, "nothing was learnt of it")
    taught = sum(map(_lessons_of, intelligence.learnt))
    if intelligence.learned != intelligence.taught + taught:
        why = f"the model has learnt {intelligence.learned - intelligence.taught}, not {taught}"
        yield Violation("lesson", "model", why)


def _lessons_of(learnt: Learnt) -> int:
    """How many lessons the model counts: that a call was unknown is one, and what it came to is
    another, if that says anything of the issuer."""
    if learnt.cause == "CORRIDOR":
        return 1
    if learnt.was_unknown:
        return 1 + (learnt.cause in ("APPROVED", "ISSUER"))
    return int(learnt.cause != "NOBODY")


RULES: tuple[Rule, ...] = (
    allowed_corridors,
    stays_while_unknown,
    one_record,
    reproducible,
    lessons,
)
