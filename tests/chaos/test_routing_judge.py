"""The judge accepts what routing and foresight may do, and refuses each thing that they may not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.foresight.signals import Minute
from gateway.routing.propensity import Exploration, Value, draw, propensities
from gateway.routing_service.steps import arm_of, seed_of
from tests.chaos.evidence import (
    APPROVED,
    Believed,
    Decided,
    IncidentChange,
    Intelligence,
    Learnt,
    OutcomeLookup,
    Post,
)
from tests.chaos.foresight_rules import course_of
from tests.chaos.judge import judge
from tests.chaos.test_judge import GOOD, INTENT, PAID

FIRST = 29_400_000
CALM, BAD = (
    Minute(minute=0, calls=60, errors=errors, latency_p50_ms=40.0, latency_p95_ms=90.0)
    for errors in (0, 30)
)
# A corridor fails for six minutes, and is well again for half an hour.
MINUTES = tuple(
    replace(BAD if 20 <= number < 26 else CALM, minute=FIRST + number) for number in range(60)
)
COURSE = course_of("default", MINUTES)
[ALARM] = COURSE.alarms
# Three minutes after the alarm was raised.
BROKEN_AT = datetime.fromtimestamp((ALARM.raise_minute + 4) * 60, UTC)
DISCOUNT = dict(COURSE.postures)[ALARM.raise_minute + 3].discount


def decided(
    payment_id: str = "pay_1", share: float = 0.95, at: datetime = BROKEN_AT, discount: float = 0.0
) -> Decided:
    """A decision of routing between two corridors, as the engine records it."""
    approvals = {"default": 0.9, "backup": 0.88}
    values = [
        Value(approvals["default"] * 0.99 * (1.0 - discount), 0.05, suspect=False),
        Value(approvals["backup"] * 0.99, 0.05, suspect=False),
    ]
    shares, seed = propensities(values, Exploration()), seed_of(payment_id)
    names = list(approvals)
    action, arm = names[draw(shares, seed)], arm_of(payment_id, share)
    corridor = action if arm == "ROUTED" else "default"
    best = max(range(2), key=lambda n: values[n].mean)
    return Decided(
        payment_id=payment_id,
        hop=0,
        arm=arm,
        share=share,
        corridor=corridor,
        propensity=share * shares[names.index(corridor)] + (1.0 - share) * (corridor == "default"),
        action=action,
        seed=seed,
        explored=arm == "ROUTED" and action != names[best],
        believed=tuple(
            Believed(
                corridor=name,
                approval=approvals[name],
                technical_failure=0.01,
                incident=0.02,
                value=value.mean,
                value_spread=value.spread,
                propensity=chance,
                discount=discount if name == "default" else 0.0,
            )
            for name, value, chance in zip(names, values, shares, strict=True)
        ),
        excluded=(),
        decide_time=at,
    )


MOMENT = timedelta(seconds=1)
DECIDED = decided()
HOME, ELSEWHERE = "default", "backup"
LEARNT = Learnt("pay_1", 0, DECIDED.arm, DECIDED.corridor, "APPROVED", was_unknown=False)
CHARGED = replace(INTENT, corridor=DECIDED.corridor, said=(APPROVED,))
RECORDS = Intelligence(
    steps=("FIRST", "SECOND", "FULL"),
    decided=(DECIDED,),
    learnt=(LEARNT,),
    learned=501,
    taught=500,
    minutes={HOME: MINUTES},
    standings=(COURSE.standing,),
    alarms=COURSE.alarms,
    incidents=(
        IncidentChange(1, HOME, ALARM.raise_minute, "BROKEN"),
        IncidentChange(2, HOME, ALARM.raise_minute, "ENDED"),
    ),
)
ASKED = Post("/v1/payment_intents", f"pay_1-{DECIDED.corridor}-1", "a", DECIDED.corridor)
TURNED_AWAY = replace(ASKED, key="pay_1-elsewhere-1", account="elsewhere", status=429, acted=False)
ROUTED = replace(
    GOOD,
    payments=(replace(PAID, corridor=DECIDED.corridor),),
    intents=(CHARGED,),
    posts=(ASKED,),
    may_use={"request-1": (HOME, ELSEWHERE)},
    charges={
        f"pay_1-{DECIDED.corridor}": ("pay_1", DECIDED.corridor),
        "pay_1-elsewhere": ("pay_1", "elsewhere"),
    },
    intelligence=RECORDS,
)


def with_records(**changes: Any) -> OutcomeLookup:
    return replace(ROUTED, intelligence=replace(RECORDS, **changes))


def with_decision(made: Decided = DECIDED, **changes: Any) -> OutcomeLookup:
    return with_records(decided=(replace(made, **changes),))


def with_candidate(place: int, **changes: Any) -> OutcomeLookup:
    believed = list(DECIDED.believed)
    believed[place] = replace(believed[place], **changes)
    return with_decision(believed=tuple(believed))


def with_lesson(cause: str, said: str, *, was_unknown: bool = False) -> OutcomeLookup:
    """Learnt of a payment of which Stripe says that, and of which money was taken or not."""
    taken = said == APPROVED
    found = with_records(
        learnt=(replace(LEARNT, cause=cause, was_unknown=was_unknown),),
        learned=500 + (cause != "NOBODY") + (was_unknown and cause != "CORRIDOR"),
    )
    if taken:
        return found
    payment = replace(
        ROUTED.payments[0], state="DECLINED", captured_minor=0, refunded_minor=0, refunds=()
    )
    return replace(
        found,
        answers=(),
        payments=(payment,),
        feed=(GOOD.feed[0], replace(GOOD.feed[1], state="DECLINED")),
        intents=(
            replace(CHARGED, status="requires_payment_method", received_minor=0, said=(said,)),
        ),
        stripe_refunds=(),
    )


def left(reason: str, cause: str) -> OutcomeLookup:
    """The payment has left the corridor of its decision, and was charged in the other."""
    other = HOME if DECIDED.corridor == ELSEWHERE else ELSEWHERE
    return replace(
        with_records(learnt=(replace(LEARNT, cause=cause),), learned=500 + (cause != "NOBODY")),
        payments=(replace(PAID, corridor=other, left=((DECIDED.corridor, reason),)),),
        intents=(replace(CHARGED, corridor=other),),
        posts=(replace(ASKED, status=429, acted=False), replace(ASKED, key="other-1")),
    )


DISCOUNTED = decided(discount=DISCOUNT)
GOOD_OF_ROUTING: dict[str, OutcomeLookup] = {
    "as it was decided": ROUTED,
    "discounted while the alarm stands": replace(
        with_records(
            decided=(DISCOUNTED,),
            learnt=(replace(LEARNT, arm=DISCOUNTED.arm, corridor=DISCOUNTED.corridor),),
        ),
        payments=(replace(PAID, corridor=DISCOUNTED.corridor),),
        intents=(replace(CHARGED, corridor=DISCOUNTED.corridor),),
    ),
    "turned away elsewhere before": replace(ROUTED, posts=(TURNED_AWAY, ASKED)),
    "declined by the issuer": with_lesson("ISSUER", "lost_card"),
    "declined for want of money": with_lesson("CUSTOMER", "insufficient_funds"),
    "a technical failure": with_lesson("CORRIDOR", "processing_error"),
    "a technical failure, known late": with_lesson("NOBODY", "processing_error", was_unknown=True),
    "approved, known late": with_lesson("APPROVED", APPROVED, was_unknown=True),
    "left unsent": left("BREAKER_OPEN", "NOBODY"),
    "left unconnected": left("CONNECT_FAILED", "CORRIDOR"),
    "an alarm that stands": with_records(
        minutes={HOME: MINUTES[:30]},
        standings=(course_of(HOME, MINUTES[:30]).standing,),
        alarms=course_of(HOME, MINUTES[:30]).alarms,
        incidents=RECORDS.incidents[:1],
    ),
    "found again without the record of it": replace(
        with_records(decided=(), learnt=(), learned=500),
        lost_until=BROKEN_AT,
        payments=(replace(PAID, corridor=ELSEWHERE, create_time=BROKEN_AT - MOMENT),),
        intents=(replace(CHARGED, corridor=ELSEWHERE),),
    ),
    "a decision whose lesson was lost": replace(
        with_records(
            decided=(replace(DECIDED, decide_time=BROKEN_AT - MOMENT),), learnt=(), learned=500
        ),
        lost_until=BROKEN_AT,
    ),
    "elsewhere after an error that was lost": replace(
        ROUTED, posts=(replace(TURNED_AWAY, status=500), ASKED), lost_until=BROKEN_AT
    ),
}


@pytest.mark.parametrize("name", GOOD_OF_ROUTING)
def test_what_may_be_is_accepted(name: str) -> None:
    assert judge(GOOD_OF_ROUTING[name]) == []


def test_the_history_has_what_it_is_judged_by() -> None:
    assert DISCOUNT > 0
    assert (ALARM.state, ALARM.acted) == ("ENDED", True)
    assert not COURSE.standing.discount
    assert DISCOUNTED.action == ELSEWHERE


STANDING = COURSE.standing
FAULTS: dict[str, tuple[str, OutcomeLookup]] = {
    "charged where the client does not want it": (
        "corridor",
        replace(ROUTED, may_use={"request-1": ("elsewhere",)}),
    ),
    "thought of where operators do not let it": (
        "corridor",
        with_decision(believed=(*DECIDED.believed, replace(DECIDED.believed[0], corridor="x"))),
    ),
    "not in the operators' order": ("corridor", with_decision(believed=DECIDED.believed[::-1])),
    "home is chosen again": ("corridor", with_decision(hop=1)),
    "elsewhere after no answer": (
        "left while unknown",
        replace(ROUTED, posts=(replace(TURNED_AWAY, status=None), ASKED)),
    ),
    "elsewhere after an error": (
        "left while unknown",
        replace(ROUTED, posts=(replace(TURNED_AWAY, status=500), ASKED)),
    ),
    "elsewhere after it was taken on": (
        "left while unknown",
        replace(ROUTED, posts=(replace(TURNED_AWAY, acted=True), ASKED), lost_until=BROKEN_AT),
    ),
    "elsewhere after an error and a refusal": (
        "left while unknown",
        replace(ROUTED, posts=(replace(TURNED_AWAY, status=500), TURNED_AWAY, ASKED)),
    ),
    "two records": ("decision", with_records(decided=(DECIDED, DECIDED))),
    "a record of nobody": (
        "decision",
        with_records(decided=(DECIDED, replace(DECIDED, payment_id="pay_9"))),
    ),
    "led elsewhere without a record": (
        "decision",
        replace(
            with_records(decided=(), learnt=(), learned=500),
            payments=(replace(PAID, corridor=ELSEWHERE),),
            intents=(replace(CHARGED, corridor=ELSEWHERE),),
        ),
    ),
    "led elsewhere without a record, though nothing was lost since": (
        "decision",
        replace(
            with_records(decided=(), learnt=(), learned=500),
            lost_until=BROKEN_AT,
            payments=(replace(PAID, corridor=ELSEWHERE, create_time=BROKEN_AT),),
            intents=(replace(CHARGED, corridor=ELSEWHERE),),
        ),
    ),
    "not led where it was to go": (
        "decision",
        replace(
            ROUTED,
            may_use={"request-1": (HOME, ELSEWHERE, "third")},
            payments=(replace(PAID, corridor="third"),),
            intents=(replace(CHARGED, corridor="third"),),
        ),
    ),
    "a propensity of nothing": ("decision", with_decision(propensity=0.0)),
    "a propensity of more than all": ("decision", with_decision(propensity=1.0001)),
    "another propensity": ("decision", with_decision(propensity=DECIDED.propensity - 0.01)),
    "propensities that are not all": (
        "decision",
        with_candidate(0, propensity=DECIDED.believed[0].propensity - 0.01),
    ),
    "surer than the propensities say": (
        "decision",
        with_decision(believed=tuple(replace(each, value_spread=0.0) for each in DECIDED.believed)),
    ),
    "suspected of an incident": ("decision", with_candidate(1, incident=0.5)),
    "a discount that takes nothing off": ("decision", with_candidate(0, discount=DISCOUNT)),
    "another approval": ("decision", with_candidate(1, approval=0.5)),
    "another number": ("decision", with_decision(seed=DECIDED.seed + 1)),
    "another arm": (
        "decision",
        with_decision(arm="RULES" if DECIDED.arm == "ROUTED" else "ROUTED"),
    ),
    "another choice": (
        "decision",
        with_decision(action=HOME if DECIDED.action == ELSEWHERE else ELSEWHERE),
    ),
    "explored without knowing": ("decision", with_decision(explored=not DECIDED.explored)),
    "a share that nobody allowed": ("decision", with_records(steps=("FIRST",))),
    "chosen though excluded": ("decision", with_decision(excluded=(ELSEWHERE,))),
    "learnt of a failure that was none": ("lesson", with_lesson("CORRIDOR", APPROVED)),
    "learnt of an approval that was none": ("lesson", with_lesson("APPROVED", "lost_card")),
    "learnt of the issuer what the customer did": (
        "lesson",
        with_lesson("ISSUER", "insufficient_funds"),
    ),
    "learnt nothing of an approval": ("lesson", with_lesson("NOBODY", APPROVED)),
    "learnt of a corridor that was left": ("lesson", left("BREAKER_OPEN", "APPROVED")),
    "learnt twice": ("lesson", with_records(learnt=(LEARNT, LEARNT), learned=502)),
    "never learnt": ("lesson", with_records(learnt=(), learned=500)),
    "never learnt, though nothing was lost since": (
        "lesson",
        replace(with_records(learnt=(), learned=500), lost_until=BROKEN_AT),
    ),
    "learnt of nobody's decision": ("lesson", with_records(decided=())),
    "learnt of another corridor": (
        "lesson",
        with_records(learnt=(replace(LEARNT, corridor="elsewhere"),)),
    ),
    "the model knows more": ("lesson", with_records(learned=502)),
    "an alarm that nothing asks for": (
        "alarm",
        with_records(alarms=(*RECORDS.alarms, replace(ALARM, raise_minute=FIRST + 55))),
    ),
    "an alarm that was not raised": ("alarm", with_records(alarms=(), incidents=())),
    "an alarm that never ended": (
        "alarm",
        with_records(alarms=(replace(ALARM, end_minute=None, state="BROKEN"),)),
    ),
    "an alarm of a corridor that nobody looks at": ("alarm", with_records(standings=())),
    "a discount that stays": (
        "alarm",
        with_records(standings=(replace(STANDING, discount=DISCOUNT),)),
    ),
    "concurrency that stays lowered": (
        "alarm",
        with_records(standings=(replace(STANDING, concurrency=0.5),)),
    ),
    "an incident that stays open": (
        "alarm",
        with_records(standings=(replace(STANDING, has_incident=True),)),
    ),
    "an alarm that stands when all is calm": (
        "alarm",
        replace(GOOD_OF_ROUTING["an alarm that stands"], past_horizon=True),
    ),
    "a discount before anything was foreseen": (
        "alarm",
        with_decision(decided(discount=DISCOUNT, at=BROKEN_AT - timedelta(minutes=15))),
    ),
    "a discount long after": (
        "alarm",
        with_decision(decided(discount=DISCOUNT, at=BROKEN_AT + timedelta(hours=1))),
    ),
    "another discount": ("alarm", with_decision(decided(discount=DISCOUNT / 3))),
    "an incident that was not told to its end": (
        "incident",
        with_records(incidents=RECORDS.incidents[:1]),
    ),
    "an incident told in another order": (
        "incident",
        with_records(
            incidents=(
                *RECORDS.incidents,
                IncidentChange(3, HOME, ALARM.raise_minute, "BROKEN"),
            )
        ),
    ),
    "a hole in the feed of incidents": (
        "incident",
        with_records(incidents=RECORDS.incidents[1:]),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_may_not_be_is_refused(name: str) -> None:
    rule, evidence = FAULTS[name]
    violations = judge(evidence)
    assert rule in {violation.rule for violation in violations}, violations
    assert all(violation.why for violation in violations)
