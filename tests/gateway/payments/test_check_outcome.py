"""What each answer of compliance's leads to: whole decisions, written out."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.ids import derived_id
from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.check_outcome import apply_check, authorization, give_up_check
from gateway.payments.domain.decision import CheckReply, Decision
from gateway.payments.domain.payment import (
    ComplianceRecord,
    Decline,
    DeclineRetry,
    FailureCode,
    Payment,
    PaymentFailure,
    QueueReason,
    UnavailablePolicy,
)
from gateway.payments.domain.states import PaymentState
from tests.gateway.payments.outcomes import (
    CREATED,
    NOW,
    PAUSE,
    RETRY_AFTER,
    TIMING,
    anew,
    context,
    decision,
    ended,
    operation,
    payment_in,
    pending_for,
    step,
)

S, Op = PaymentState, OperationState
CHECK = operation(OperationKind.CHECK, queued=True)
BEFORE = ComplianceRecord("dec_1", "REVIEW", ("KYC_EXPIRED",), "2026-11-01T00:00:00Z")
RETRIED: dict[str, Any] = {
    "off_session": True,
    "decline_retry": DeclineRetry(3, timedelta(days=2)),
    "decline_count": 1,
    "decline": Decline("card_declined", "insufficient_funds"),
    "payment_intent_id": "pi_1",
}
RETURNED: dict[str, Any] = {
    "off_session": True,
    "customer_returned": True,
    "decline_count": 1,
    "payment_intent_id": "pi_1",
}
FOLLOW_UP_ID = derived_id("op", "op_1")
WAITING = (S.RECEIVED, S.QUEUED, S.IN_REVIEW, S.RETRY_SCHEDULED)


def waiting(state: PaymentState, **values: Any) -> Payment:
    past = RETRIED if state is S.RETRY_SCHEDULED else {}
    reason = QueueReason.CORRIDOR_UNAVAILABLE if state is S.QUEUED else None
    return payment_in(
        state,
        **{"compliance": BEFORE, "wake_time": NOW, "queue_reason": reason, **past, **values},
    )


def verdict(name: str) -> CheckReply:
    return CheckReply(ComplianceRecord("dec_2", name, (), "2026-11-01T00:03:00Z"))


def checked(payment: Payment, answer: CheckReply) -> Decision:
    return apply_check(payment, CHECK, answer, context())


AUTHORIZE_PARAMS = (
    '{"allowed_payment_method_types":["card"],"amount":1000,"capture_method":"automatic_async",'
    '"confirm":true,"currency":"eur","customer":"cus_1","expand":["latest_charge"],'
    '"metadata":{"engine_payment_id":"pay_1"},"payment_method":"pm_1"}'
)
REATTEMPT_PARAMS = '{"expand":["latest_charge"],"off_session":true,"payment_method":"pm_1"}'


def asked(operation_id: str, payment: Payment, *, again: bool = False) -> Operation:
    """The authorisation as it is written down before its first byte goes out."""
    return Operation(
        id=operation_id,
        subject_id="pay_1",
        kind=OperationKind.REATTEMPT if again else OperationKind.AUTHORIZE,
        state=Op.RUNNING,
        corridor=payment.corridor,
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW + timedelta(minutes=10),
        params=REATTEMPT_PARAMS if again else AUTHORIZE_PARAMS,
        key_prefix="" if again else f"pay_1-{payment.corridor}",
        amount_minor=1000,
        send_count=1,
        first_send_time=NOW,
        last_send_time=NOW,
    )


@pytest.mark.parametrize("state", WAITING)
def test_what_is_allowed_is_asked_of_stripe_at_once(state: PaymentState) -> None:
    answer = verdict("ALLOW")
    payment = replace(waiting(state), compliance=answer.record)
    allowed = step(payment, "compliance_allowed", S.COMPLIANCE_CHECKED)
    started = step(allowed.after, "authorization_started", S.AUTHORIZING, hold_id=FOLLOW_UP_ID)
    assert checked(waiting(state), answer) == decision(
        payment,
        ended(CHECK, Op.SUCCEEDED),
        allowed,
        started,
        follow_up=asked(FOLLOW_UP_ID, payment, again=state is S.RETRY_SCHEDULED),
    )


@pytest.mark.parametrize(
    ("values", "again"),
    [
        ({}, False),
        ({"corridor": "backup"}, False),
        ({"decline_count": 1}, False),
        ({"payment_intent_id": "pi_1"}, False),
        ({"decline_count": 1, "payment_intent_id": "pi_1", "off_session": True}, True),
    ],
)
def test_a_payment_keeps_the_payment_intent_of_its_declined_attempt(
    values: dict[str, Any], again: bool
) -> None:
    payment = payment_in(S.COMPLIANCE_CHECKED, **values)
    assert authorization(payment, "op_5", NOW) == asked("op_5", payment, again=again)


def test_what_comes_too_late_is_not_charged() -> None:
    answer = verdict("ALLOW")
    old = waiting(S.RETRY_SCHEDULED, create_time=NOW - timedelta(days=3))
    payment = replace(old, compliance=answer.record)
    assert checked(old, answer) == decision(
        payment, ended(CHECK, Op.SUCCEEDED), step(payment, "declined", S.DECLINED)
    )


@pytest.mark.parametrize("state", WAITING)
def test_what_is_denied_is_blocked(state: PaymentState) -> None:
    answer = verdict("DENY")
    payment = replace(waiting(state), compliance=answer.record)
    assert checked(waiting(state), answer) == decision(
        payment, ended(CHECK, Op.SUCCEEDED), step(payment, "compliance_denied", S.BLOCKED)
    )


@pytest.mark.parametrize("state", [S.RECEIVED, S.QUEUED, S.RETRY_SCHEDULED])
def test_what_a_person_must_look_at_waits_for_him(state: PaymentState) -> None:
    answer = verdict("REVIEW")
    payment = replace(waiting(state), compliance=answer.record)
    until = NOW + TIMING.review
    again = replace(
        anew(CHECK), next_attempt_time=NOW + TIMING.review_recheck, deadline=until, queued=False
    )
    assert checked(waiting(state), answer) == decision(
        payment, again, step(payment, "review_required", S.IN_REVIEW, wake_time=until)
    )


def test_what_is_in_review_stays_until_the_same_time() -> None:
    answer = verdict("REVIEW")
    again = replace(anew(CHECK), next_attempt_time=NOW + TIMING.review_recheck, queued=False)
    expected = decision(replace(waiting(S.IN_REVIEW), compliance=answer.record), again)
    assert checked(waiting(S.IN_REVIEW), answer) == expected


@pytest.mark.parametrize("state", [S.QUEUED, S.IN_REVIEW, S.RETRY_SCHEDULED])
@pytest.mark.parametrize(("retry_after", "wait"), [(None, PAUSE), (RETRY_AFTER, RETRY_AFTER)])
def test_what_waits_anyway_is_asked_about_again(
    state: PaymentState, retry_after: timedelta | None, wait: timedelta
) -> None:
    later = pending_for(CHECK, wait, "compliance_unavailable")
    silent = CheckReply(None, retry_after)
    assert checked(waiting(state), silent) == decision(waiting(state), later)
    # A customer who came back and is in review waits for a person anyway.
    if state is S.IN_REVIEW:
        returned = waiting(state, **RETURNED)
        assert checked(returned, silent) == decision(returned, later)


@pytest.mark.parametrize(("retry_after", "wait"), [(None, PAUSE), (RETRY_AFTER, RETRY_AFTER)])
def test_what_may_wait_is_queued(retry_after: timedelta | None, wait: timedelta) -> None:
    payment = waiting(S.RECEIVED, unavailable_policy=UnavailablePolicy.QUEUE)
    first = replace(CHECK, queued=False)
    deadline = NOW + timedelta(hours=2)
    later = replace(pending_for(first, wait, ""), queued=True, deadline=deadline)
    answered = apply_check(payment, first, CheckReply(None, retry_after), context())
    assert answered == decision(
        payment,
        later,
        step(
            payment,
            "queued",
            S.QUEUED,
            queue_reason=QueueReason.COMPLIANCE_UNAVAILABLE,
            wake_time=deadline,
        ),
    )


UNAVAILABLE = PaymentFailure(FailureCode.COMPLIANCE_UNAVAILABLE)


def test_what_may_not_wait_fails() -> None:
    payment = waiting(S.RECEIVED)
    assert checked(payment, CheckReply(None)) == decision(
        payment,
        ended(CHECK, Op.FAILED, "compliance_unavailable"),
        step(payment, "failed", S.FAILED, failure=UNAVAILABLE),
    )


def test_a_customer_who_came_back_is_told_now() -> None:
    payment = waiting(S.RETRY_SCHEDULED, **RETURNED)
    assert checked(payment, CheckReply(None)) == decision(
        payment,
        ended(CHECK, Op.FAILED, "compliance_unavailable"),
        step(payment, "declined", S.DECLINED, hold_id=""),
    )


@pytest.mark.parametrize(
    ("payment", "name", "state", "values"),
    [
        (waiting(S.QUEUED), "expired", S.EXPIRED, {}),
        (waiting(S.IN_REVIEW), "expired", S.EXPIRED, {}),
        (
            waiting(S.RETRY_SCHEDULED),
            *("retry_postponed", S.RETRY_SCHEDULED, {"wake_time": NOW + timedelta(hours=1)}),
        ),
        (waiting(S.RETRY_SCHEDULED, **RETURNED), "declined", S.DECLINED, {}),
        (waiting(S.RECEIVED), "failed", S.FAILED, {"failure": UNAVAILABLE}),
    ],
)
def test_a_check_whose_time_is_over(
    payment: Payment, name: str, state: PaymentState, values: dict[str, Any]
) -> None:
    assert CREATED < NOW
    assert give_up_check(Decision(payment, CHECK), NOW) == decision(
        payment, ended(CHECK, Op.CANCELED, "deadline"), step(payment, name, state, **values)
    )
