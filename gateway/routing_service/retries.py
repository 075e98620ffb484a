"""Times of further attempts as they are kept, and what an event of a payment says of one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.payments.domain.payment import Payment
from gateway.payments.domain.retry_policy import RetryWindow
from gateway.payments.domain.states import Transition
from gateway.routing.attribution import CallResult, Cause, Ending, attribute
from gateway.routing.decision import Decision
from gateway.routing.features import Slots
from gateway.routing.propensity import uniform
from gateway.routing.retry_beliefs import KIND_OF_CODE, SPACE_HASH, DeclineKind
from gateway.routing.retry_times import RetryTime, times_between
from gateway.routing_service.record import (
    Circumstances,
    features_hash,
    place_of,
    propensity_of,
    slots_in,
    slots_json,
)
from gateway.routing_service.regions import region_of
from gateway.routing_service.steps import Arm, seed_of
from gateway.v1 import payment_pb2

T = Transition
_WENT_THROUGH = frozenset({T.AUTHORIZED, T.CAPTURED})
_DECLINED = frozenset({T.DECLINED, T.RETRY_SCHEDULED})
# The attempt was not made at that time, or never.
_NOT_THEN = frozenset(
    {T.RETRY_POSTPONED, T.CANCELED, T.EXPIRED, T.COMPLIANCE_DENIED, T.REVIEW_REQUIRED, T.FAILED}
)
RETRY_TRANSITIONS = frozenset(each.value for each in _WENT_THROUGH | _DECLINED | _NOT_THEN)
"""Events of these are looked at; none of another says how an attempt ended."""
RETRY_JUDGED = (Cause.APPROVED, Cause.ISSUER, Cause.CUSTOMER)
"""What says something of a time. Lack of money does: it is what another hour may change."""


def draw_of(payment: Payment) -> str:
    """What the choice after a payment's last decline is drawn by."""
    return f"{payment.id} retry {payment.decline_count}"


def kind_of(payment: Payment) -> DeclineKind:
    """Why it was declined last."""
    assert payment.decline is not None, "it was declined"
    code = payment.decline.decline_code or payment.decline.code
    return KIND_OF_CODE.get(code, DeclineKind.OTHER)


def times_of(payment: Payment, window: RetryWindow, now: datetime) -> tuple[RetryTime, ...]:
    """The times that a payment may be tried again at which was declined now."""
    country = payment.card.country if payment.card is not None else ""
    return times_between(
        window.earliest,
        window.latest,
        now,
        region_of(country or payment.billing_country),
        kind_of(payment),
        uniform(seed_of(f"{draw_of(payment)} place")),
    )


def retry_row(
    payment: Payment,
    decision: Decision,
    arm: Arm,
    times: Sequence[RetryTime],
    window: RetryWindow,
    given: Circumstances,
) -> dict[str, Any]:
    """The row of `routing_retry`. By the rules it is the first of the times."""
    place = place_of(decision, arm)
    chosen = times[place]
    slots = slots_json(chosen.slots)
    return {
        "payment_id": payment.id,
        "attempt": payment.decline_count,
        "merchant_id": payment.merchant_id,
        "mode": given.mode.name,
        "arm": arm.value,
        "share": given.share,
        "option": chosen.name,
        "propensity": propensity_of(decision, place, given.share),
        "action": decision.corridor,
        "seed": decision.seed,
        "explored": arm is Arm.ROUTED and decision.explored,
        "model_version": given.model_version,
        "policy_hash": given.policy_hash,
        "features_hash": features_hash(SPACE_HASH, slots),
        "region": chosen.buckets.region,
        "kind": chosen.buckets.kind.value,
        "slots": slots,
        "scores": [score._asdict() for score in decision.scores],
        "retry_time": chosen.time,
        "latest_time": window.latest,
        "decide_time": given.decide_time,
    }


@dataclass(frozen=True, slots=True)
class RetryLesson:
    """What became of an attempt at a time."""

    cause: Cause
    slots: Slots
    rank: int
    approved: bool | None
    """None says nothing of the time."""


def retry_lesson(
    transition: str,
    payment: payment_pb2.Payment,
    row: Any,
    record_time: datetime,
    *,
    declined_again: bool,
) -> RetryLesson | None:
    """What an event teaches of a row of `routing_retry`; None if it does not say what became of it.

    `declined_again`: the attempt after the one of the row was declined as well.
    """
    if record_time <= row.decide_time:
        # Of before, or the very decline.
        return None
    result: CallResult
    if transition in _WENT_THROUGH:
        result = CallResult(Ending.SUCCEEDED)
    elif transition in _DECLINED and declined_again:
        result = CallResult(Ending.DECLINED, payment.decline.code, payment.decline.decline_code)
    elif transition in _DECLINED or transition in _NOT_THEN:
        result = CallResult(Ending.NOT_SENT)
    else:
        return None
    cause = attribute(result).cause
    return RetryLesson(
        cause,
        slots_in(row.slots),
        [score["corridor"] for score in row.scores].index(row.option),
        cause is Cause.APPROVED if cause in RETRY_JUDGED else None,
    )
