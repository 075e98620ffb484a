"""What each answer of Stripe's to an authorisation leads to: whole decisions, written out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.operations.operation import GivenUp, OperationKind, OperationState
from gateway.payments.domain.authorization_outcome import (
    apply_authorization,
    try_anew,
)
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.payment import (
    Decline,
    DeclineRetry,
    FailureCode,
    Payment,
    PaymentFailure,
    UnavailablePolicy,
)
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.outcome import Failure, NotSentReason, OutcomeClass
from tests.gateway.payments.outcomes import (
    BACKUP,
    CREATED,
    HOME,
    KNOWN,
    NOW,
    PAUSE,
    REASON,
    REFUSAL,
    REFUSED,
    RETRY_AFTER,
    SEEN,
    anew,
    context,
    decision,
    ended,
    intent,
    not_sent,
    operation,
    payment_in,
    reply,
    step,
    unknown_for,
    with_backup,
)

S, Op = PaymentState, OperationState
AUTHORIZE = operation(OperationKind.AUTHORIZE)
AUTHORIZING = payment_in(S.AUTHORIZING, wake_time=NOW)
DECLINED_BEFORE = payment_in(
    S.AUTHORIZING,
    decline_count=1,
    decline=Decline("card_declined", "insufficient_funds"),
    payment_intent_id="pi_1",
    charge_id="ch_0",
    off_session=True,
    decline_retry=DeclineRetry(5, timedelta(days=20)),
)
LOST = replace(REFUSED, code="resource_missing")


def authorized(
    payment: Payment,
    answer: StripeReply | GivenUp,
    *,
    resend: bool = False,
    backup: bool = False,
) -> Decision:
    about = with_backup() if backup else context()
    return apply_authorization(payment, AUTHORIZE, answer, about, resend=resend)


@pytest.mark.parametrize("status", SEEN)
def test_the_payment_is_where_its_payment_intent_is(status: str) -> None:
    transition, state, values = SEEN[status]
    expected = decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.SUCCEEDED),
        step(AUTHORIZING, transition, state, payment_intent_id="pi_1", **values),
    )
    assert authorized(AUTHORIZING, reply(OutcomeClass.SUCCEEDED, object=intent(status))) == expected
    # It was refused because it had happened: what is there counts.
    refused = reply(OutcomeClass.REJECTED, REFUSED, intent=intent(status))
    assert authorized(AUTHORIZING, refused) == expected


def test_a_payment_intent_that_is_declined_ends_the_attempt() -> None:
    shown = reply(OutcomeClass.SUCCEEDED, object=intent("requires_payment_method"))
    assert authorized(AUTHORIZING, shown) == decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.DECLINED),
        step(
            AUTHORIZING,
            "declined",
            S.DECLINED,
            decline=Decline("card_declined", "stolen_card"),
            decline_count=1,
            payment_intent_id="pi_1",
            charge_id="ch_1",
            hold_id="",
        ),
    )


def test_a_payment_intent_that_is_not_confirmed_yet_is_looked_at_again() -> None:
    shown = reply(OutcomeClass.SUCCEEDED, object=intent("requires_confirmation"))
    later = unknown_for(AUTHORIZE, PAUSE, "not_confirmed")
    assert authorized(AUTHORIZING, shown) == decision(AUTHORIZING, later)


def test_what_is_known_already_stays() -> None:
    shown = reply(OutcomeClass.SUCCEEDED, object=intent("requires_capture"))
    assert authorized(KNOWN, shown) == decision(KNOWN, ended(AUTHORIZE, Op.SUCCEEDED))
    for answer, operation_state, code, failure in (
        (GivenUp(), Op.CANCELED, "DEADLINE", None),
        (reply(OutcomeClass.UNKNOWN, nothing_found=True), Op.FAILED, "not_performed", None),
        (reply(OutcomeClass.REJECTED, REFUSED), Op.FAILED, "parameter_invalid", REFUSED),
        (reply(OutcomeClass.DECLINED, REFUSED), Op.DECLINED, "parameter_invalid", REFUSED),
        (not_sent(NotSentReason.BREAKER_OPEN), Op.CANCELED, "BREAKER_OPEN", None),
    ):
        after = ended(AUTHORIZE, operation_state, code, failure)
        assert authorized(KNOWN, answer, backup=True) == decision(KNOWN, after)


def test_a_decline_is_kept_with_all_that_the_bank_said() -> None:
    answer = reply(OutcomeClass.DECLINED, REFUSAL)
    assert authorized(AUTHORIZING, answer) == decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.DECLINED, "card_declined", REFUSAL),
        step(
            AUTHORIZING,
            "declined",
            S.DECLINED,
            decline=REASON,
            card_fingerprint="fp_1",
            decline_count=1,
            payment_intent_id="pi_2",
            charge_id="ch_2",
            hold_id="",
        ),
    )


def test_a_decline_that_may_pass_is_tried_again_if_the_client_asked_for_it() -> None:
    answer = reply(OutcomeClass.DECLINED, REFUSAL)
    change = authorized(DECLINED_BEFORE, answer).changes
    assert change == (
        step(
            DECLINED_BEFORE,
            "retry_scheduled",
            S.RETRY_SCHEDULED,
            decline=REASON,
            card_fingerprint="fp_1",
            decline_count=2,
            payment_intent_id="pi_2",
            charge_id="ch_2",
            hold_id="",
            # A day after the first decline, doubled after the second.
            wake_time=NOW + timedelta(hours=48),
        ),
    )


def test_a_decline_without_its_payment_intent_leaves_what_is_known() -> None:
    bare = replace(REFUSAL, code="", payment_intent=None)
    assert authorized(DECLINED_BEFORE, reply(OutcomeClass.DECLINED, bare)) == decision(
        DECLINED_BEFORE,
        # Stripe gave no code: its type is something to go by.
        ended(AUTHORIZE, Op.DECLINED, "card_error", bare),
        step(
            DECLINED_BEFORE,
            "retry_scheduled",
            S.RETRY_SCHEDULED,
            decline=Decline("", "insufficient_funds", "try_again_later"),
            decline_count=2,
            hold_id="",
            wake_time=NOW + timedelta(hours=48),
        ),
    )


@pytest.mark.parametrize(
    ("failure", "lost", "reason"),
    [
        (REFUSED, False, ""),
        (REFUSED, True, "PAYMENT_METHOD_NOT_FOUND"),
        (LOST, False, "PAYMENT_METHOD_NOT_FOUND"),
        (replace(LOST, param="customer"), False, "INVALID_CUSTOMER_STATE"),
        (replace(LOST, param="customer"), True, "INVALID_CUSTOMER_STATE"),
    ],
)
@pytest.mark.parametrize("declined_intent", [False, True])
def test_a_refusal_fails_the_payment_with_stripes_reason(
    failure: Failure, lost: bool, reason: str, declined_intent: bool
) -> None:
    seen = intent("requires_payment_method") if declined_intent else None
    answer = reply(OutcomeClass.REJECTED, failure, method_is_lost=lost, intent=seen)
    assert authorized(AUTHORIZING, answer) == decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.FAILED, failure.code, failure),
        step(
            AUTHORIZING,
            "failed",
            S.FAILED,
            failure=PaymentFailure(
                FailureCode.STRIPE_REJECTED,
                stripe_code=failure.code,
                stripe_param=failure.param,
                stripe_type="invalid_request_error",
                stripe_request_id="req_1",
                reason=reason,
            ),
            hold_id="",
        ),
    )


def test_a_refusal_without_a_word_fails_the_payment_all_the_same() -> None:
    assert authorized(AUTHORIZING, reply(OutcomeClass.REJECTED)) == decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.FAILED),
        step(
            AUTHORIZING,
            "failed",
            S.FAILED,
            failure=PaymentFailure(FailureCode.STRIPE_REJECTED),
            hold_id="",
        ),
    )


def test_what_stripe_has_no_trace_of_fails_and_is_not_repeated() -> None:
    nothing = reply(OutcomeClass.UNKNOWN, nothing_found=True)
    assert authorized(AUTHORIZING, nothing) == decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.FAILED, "not_performed"),
        step(
            AUTHORIZING,
            "failed",
            S.FAILED,
            failure=PaymentFailure(FailureCode.OUTCOME_NOT_PERFORMED),
            hold_id="",
        ),
    )


@pytest.mark.parametrize(
    ("answer", "operation_state", "code"),
    [
        (reply(OutcomeClass.UNKNOWN, nothing_found=True), Op.FAILED, "not_performed"),
        (GivenUp(), Op.CANCELED, "DEADLINE"),
        (not_sent(NotSentReason.RATE_LIMITED), Op.CANCELED, "RATE_LIMITED"),
        (not_sent(None), Op.CANCELED, ""),
    ],
)
def test_another_attempt_that_did_not_happen_is_put_back(
    answer: StripeReply | GivenUp, operation_state: OperationState, code: str
) -> None:
    """Also where another corridor could charge: the PaymentIntent that there is, is here."""
    assert authorized(DECLINED_BEFORE, answer, backup=True) == decision(
        DECLINED_BEFORE,
        ended(AUTHORIZE, operation_state, code),
        step(
            DECLINED_BEFORE,
            "retry_postponed",
            S.RETRY_SCHEDULED,
            hold_id="",
            wake_time=NOW + timedelta(hours=1),
        ),
    )


@pytest.mark.parametrize("reason", [None, *NotSentReason])
def test_what_was_not_sent_fails_with_the_reason(reason: NotSentReason | None) -> None:
    code = "" if reason is None else reason.value
    assert authorized(AUTHORIZING, not_sent(reason)) == decision(
        AUTHORIZING,
        ended(AUTHORIZE, Op.CANCELED, code),
        step(
            AUTHORIZING,
            "failed",
            S.FAILED,
            failure=PaymentFailure(FailureCode.CORRIDOR_UNAVAILABLE, not_sent_reason=code),
            hold_id="",
        ),
    )


def test_what_was_not_sent_and_may_wait_is_queued() -> None:
    waits = replace(AUTHORIZING, unavailable_policy=UnavailablePolicy.QUEUE)
    done = authorized(waits, GivenUp())
    assert done.operation == ended(AUTHORIZE, Op.CANCELED, "DEADLINE")
    assert (done.payment.state, done.payment.failure) == (S.QUEUED, None)
    assert done.follow_up is not None
    assert done.follow_up.queued


@pytest.mark.parametrize(
    "answer",
    [
        not_sent(NotSentReason.BREAKER_OPEN, failure=REFUSED, retry_after=RETRY_AFTER),
        reply(OutcomeClass.UNKNOWN, REFUSED, retry_after=RETRY_AFTER),
    ],
)
def test_after_one_request_may_have_arrived_nothing_else_decides(answer: StripeReply) -> None:
    later = unknown_for(AUTHORIZE, RETRY_AFTER, "parameter_invalid")
    expected = decision(AUTHORIZING, later)
    assert authorized(AUTHORIZING, answer, resend=True, backup=True) == expected


def test_what_is_unknown_waits_by_its_own_pause_where_stripe_names_none() -> None:
    later = unknown_for(AUTHORIZE, PAUSE)
    for resend in (False, True):
        done = authorized(AUTHORIZING, reply(OutcomeClass.UNKNOWN), resend=resend, backup=True)
        assert done == decision(AUTHORIZING, later)


KEY_REVOKED = Failure(type="invalid_request_error", http_status=401, stripe_request_id="req_1")


@pytest.mark.parametrize(
    ("answer", "operation_state", "code", "reason"),
    [
        (not_sent(NotSentReason.BREAKER_OPEN), Op.CANCELED, "BREAKER_OPEN", "BREAKER_OPEN"),
        (
            not_sent(NotSentReason.RATE_LIMITED, failure=replace(REFUSED, code="rate_limit")),
            *(Op.CANCELED, "rate_limit", "RATE_LIMITED"),
        ),
        (
            reply(OutcomeClass.REJECTED, KEY_REVOKED),
            *(Op.FAILED, "invalid_request_error", "ACCOUNT_REFUSED"),
        ),
        (
            reply(OutcomeClass.REJECTED, KEY_REVOKED, intent=intent("requires_payment_method")),
            *(Op.FAILED, "invalid_request_error", "ACCOUNT_REFUSED"),
        ),
    ],
)
def test_a_corridor_that_did_not_take_it_is_left_for_another(
    answer: StripeReply, operation_state: OperationState, code: str, reason: str
) -> None:
    payment = replace(AUTHORIZING, routes=(HOME, BACKUP))
    done = authorized(payment, answer, backup=True)
    assert done.operation == ended(AUTHORIZE, operation_state, code, answer.outcome.failure)
    assert (done.payment.state, done.payment.corridor) == (S.RECEIVED, "backup")
    assert [(left.corridor, left.reason) for left in done.payment.left_corridors] == [
        ("default", reason)
    ]
    assert done.follow_up is not None
    assert done.follow_up.kind is OperationKind.CHECK
    # Where it is allowed to go, but nothing is free, it fails.
    assert authorized(payment, answer).payment.state is S.FAILED


@pytest.mark.parametrize("answer", [not_sent(NotSentReason.DEADLINE), not_sent(None)])
def test_what_another_corridor_would_not_help_stays(answer: StripeReply) -> None:
    payment = replace(AUTHORIZING, routes=(HOME, BACKUP))
    assert authorized(payment, answer, backup=True).payment.state is S.FAILED


def test_what_did_not_happen_is_begun_anew_with_a_new_key_but_no_charge() -> None:
    capture = operation(OperationKind.CAPTURE)
    again = try_anew(Decision(KNOWN, capture), context())
    assert again == decision(KNOWN, anew(capture))
    assert again.operation.idempotency_key == "op_1-2"
    assert CREATED < NOW
    with pytest.raises(AssertionError, match="a charge is not repeated"):
        try_anew(Decision(AUTHORIZING, AUTHORIZE), context())
