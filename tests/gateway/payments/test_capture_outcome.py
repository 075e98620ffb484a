"""What each answer of Stripe's to a capture or a cancellation leads to: whole decisions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.operations.operation import GivenUp, OperationKind, OperationState
from gateway.payments.domain.capture_outcome import apply_capture_or_cancel
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.payment import NextAction, Payment
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.outcome import Failure, NotSentReason, OutcomeClass
from tests.gateway.payments.outcomes import (
    CAPTURE_BEFORE,
    CREATED,
    NOW,
    PAUSE,
    REFUSED,
    RETRY_AFTER,
    TIMING,
    anew,
    context,
    decision,
    ended,
    intent,
    not_sent,
    operation,
    payment_in,
    pending_for,
    reply,
    step,
    unknown_for,
)

S, Op, K = PaymentState, OperationState, OperationKind
CAPTURE, CANCEL = operation(K.CAPTURE), operation(K.CANCEL)
HELD: dict[str, Any] = {
    "payment_intent_id": "pi_1",
    "charge_id": "ch_1",
    "authorized_minor": 1000,
    "capture_before": CAPTURE_BEFORE,
}
CAPTURING = payment_in(S.CAPTURING, **HELD)
CANCELING = payment_in(S.CANCELING, **HELD)
ACTION = NextAction("https://bank.example/3ds")
# What was canceled while its customer was to act, or while the bank decided about it.
WAITED = payment_in(S.CANCELING, payment_intent_id="pi_1", next_action=ACTION)
PROCESSED = payment_in(S.CANCELING, payment_intent_id="pi_1")
# The news of it came before the answer.
CAPTURED = payment_in(S.SUCCEEDED, payment_intent_id="pi_1", charge_id="ch_1")
CANCELED = payment_in(S.CANCELED, payment_intent_id="pi_1")
WAKE = CAPTURE_BEFORE - timedelta(hours=24)
HALF_AN_HOUR_AND_HALF = NOW + timedelta(minutes=45)


def applied(
    payment: Payment, answer: StripeReply | GivenUp, *, resend: bool = False, **about: Any
) -> Decision:
    asked = CAPTURE if payment.state in (S.CAPTURING, S.SUCCEEDED) else CANCEL
    asked = replace(asked, **about)
    return apply_capture_or_cancel(payment, asked, answer, context(), resend=resend)


# The payment, what Stripe shows, and what that makes of the payment and of what was asked for.
Row = tuple[Payment, str, str, PaymentState, dict[str, Any], OperationState]
SHOWN: list[Row] = [
    (
        *(CAPTURING, "succeeded", "captured", S.SUCCEEDED),
        *({"captured_minor": 1000, "capture_time": NOW, "hold_id": ""}, Op.SUCCEEDED),
    ),
    (
        *(CAPTURING, "processing", "processing_started", S.PROCESSING),
        *({"capture_before": None, "wake_time": HALF_AN_HOUR_AND_HALF}, Op.SUCCEEDED),
    ),
    (CAPTURING, "requires_capture", "authorized", S.AUTHORIZED, {"wake_time": WAKE}, Op.FAILED),
    (
        *(CAPTURING, "canceled", "canceled", S.CANCELED),
        *({"authorized_minor": 0, "hold_id": ""}, Op.FAILED),
    ),
    (
        *(CANCELING, "canceled", "canceled", S.CANCELED),
        *({"authorized_minor": 0, "hold_id": ""}, Op.SUCCEEDED),
    ),
    (
        *(CANCELING, "succeeded", "captured", S.SUCCEEDED),
        *({"captured_minor": 1000, "capture_time": NOW, "hold_id": ""}, Op.FAILED),
    ),
    (CANCELING, "requires_capture", "authorized", S.AUTHORIZED, {"wake_time": WAKE}, Op.FAILED),
    (
        *(WAITED, "requires_action", "action_required", S.REQUIRES_ACTION),
        *({"next_action": ACTION, "wake_time": NOW + TIMING.action}, Op.FAILED),
    ),
    (
        *(PROCESSED, "processing", "processing_started", S.PROCESSING),
        *({"charge_id": "ch_1", "wake_time": HALF_AN_HOUR_AND_HALF}, Op.FAILED),
    ),
]


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: f"{row[0].state}-{row[1]}")
def test_the_payment_is_where_its_payment_intent_is(row: Row) -> None:
    payment, status, transition, state, values, operation_state = row
    asked = CAPTURE if payment is CAPTURING else CANCEL
    change = step(payment, transition, state, **values)
    answered = reply(OutcomeClass.SUCCEEDED, object=intent(status))
    assert applied(payment, answered) == decision(payment, ended(asked, operation_state), change)
    for refusal in (OutcomeClass.REJECTED, OutcomeClass.DECLINED):
        refused = reply(refusal, REFUSED, intent=intent(status))
        after = ended(asked, Op.SUCCEEDED)
        if operation_state is Op.FAILED:
            after = ended(asked, Op.FAILED, "parameter_invalid", REFUSED)
        assert applied(payment, refused) == decision(payment, after, change)


def test_a_cancellation_because_time_was_over_ends_in_expired() -> None:
    answered = reply(OutcomeClass.SUCCEEDED, object=intent("canceled"))
    asked = replace(CANCEL, expires_payment=True)
    assert applied(CANCELING, answered, expires_payment=True) == decision(
        CANCELING,
        ended(asked, Op.SUCCEEDED),
        step(CANCELING, "expired", S.EXPIRED, authorized_minor=0, hold_id=""),
    )


@pytest.mark.parametrize("outcome_class", [OutcomeClass.REJECTED, OutcomeClass.DECLINED])
def test_a_refusal_of_which_nothing_was_seen_is_unknown(outcome_class: OutcomeClass) -> None:
    refused = reply(outcome_class, REFUSED, retry_after=RETRY_AFTER)
    later = unknown_for(CAPTURE, RETRY_AFTER, "parameter_invalid")
    assert applied(CAPTURING, refused) == decision(CAPTURING, later)


def test_what_was_not_sent_is_sent_again_later() -> None:
    answer = not_sent(NotSentReason.RATE_LIMITED, failure=Failure(code="rate_limit"))
    later = pending_for(CAPTURE, PAUSE, "not_sent")
    assert applied(CAPTURING, answer) == decision(CAPTURING, later)
    asked_to_wait = not_sent(NotSentReason.RATE_LIMITED, retry_after=RETRY_AFTER)
    assert applied(CANCELING, asked_to_wait) == decision(
        CANCELING, pending_for(CANCEL, RETRY_AFTER, "not_sent")
    )
    # After one request that may have arrived, a second that did not proves nothing.
    unknown = unknown_for(CAPTURE, PAUSE, "rate_limit")
    assert applied(CAPTURING, answer, resend=True) == decision(CAPTURING, unknown)


@pytest.mark.parametrize("resend", [False, True])
def test_what_is_unknown_is_asked_again(resend: bool) -> None:
    answer = reply(OutcomeClass.UNKNOWN, Failure(type="api_error"), retry_after=RETRY_AFTER)
    later = unknown_for(CANCEL, RETRY_AFTER, "api_error")
    assert applied(CANCELING, answer, resend=resend) == decision(CANCELING, later)


BACK: list[tuple[Payment, str, PaymentState, dict[str, Any]]] = [
    (CAPTURING, "authorized", S.AUTHORIZED, {"wake_time": WAKE}),
    (CANCELING, "authorized", S.AUTHORIZED, {"wake_time": WAKE}),
    (WAITED, "action_required", S.REQUIRES_ACTION, {"next_action": ACTION, "wake_time": NOW}),
    (PROCESSED, "processing_started", S.PROCESSING, {"wake_time": HALF_AN_HOUR_AND_HALF}),
]


@pytest.mark.parametrize("row", BACK, ids=lambda row: f"{row[0].state}-{row[2]}")
def test_what_did_not_happen_in_time_puts_the_payment_back(
    row: tuple[Payment, str, PaymentState, dict[str, Any]],
) -> None:
    payment, transition, state, values = row
    asked = CAPTURE if payment is CAPTURING else CANCEL
    back = step(payment, transition, state, **values)
    given_up = decision(payment, ended(asked, Op.FAILED, "deadline"), back)
    assert applied(payment, GivenUp()) == given_up
    # Stripe has no trace of it, and it is not wanted any more.
    nothing = reply(OutcomeClass.UNKNOWN, nothing_found=True)
    over = replace(asked, deadline=NOW)
    assert applied(payment, nothing, deadline=NOW) == decision(
        payment, ended(over, Op.FAILED, "not_performed"), back
    )


@pytest.mark.parametrize("payment", [CAPTURED, CANCELED])
def test_what_ended_otherwise_is_not_put_back(payment: Payment) -> None:
    asked = CAPTURE if payment is CAPTURED else CANCEL
    expected = decision(payment, ended(asked, Op.FAILED, "deadline"))
    assert applied(payment, GivenUp()) == expected


def test_what_stripe_has_no_trace_of_is_asked_anew_while_it_is_wanted() -> None:
    nothing = reply(OutcomeClass.UNKNOWN, nothing_found=True, intent=intent("requires_capture"))
    last = NOW + timedelta(microseconds=1)
    asked = replace(CAPTURE, deadline=last)
    assert applied(CAPTURING, nothing, deadline=last) == decision(CAPTURING, anew(asked))


# What was found when it was looked for in vain, after the time in which it was wanted.
@pytest.mark.parametrize(
    ("payment", "status", "transition", "state", "values"),
    [
        (CAPTURING, "requires_capture", "authorized", S.AUTHORIZED, {"wake_time": WAKE}),
        (
            *(CAPTURING, "canceled", "canceled", S.CANCELED),
            {"authorized_minor": 0, "hold_id": ""},
        ),
        (
            *(CAPTURING, "processing", "processing_started", S.PROCESSING),
            {"capture_before": None, "wake_time": HALF_AN_HOUR_AND_HALF},
        ),
        (
            *(WAITED, "requires_action", "action_required", S.REQUIRES_ACTION),
            {"next_action": ACTION, "wake_time": NOW + TIMING.action},
        ),
    ],
)
def test_what_is_seen_instead_tells_where_the_payment_is(
    payment: Payment, status: str, transition: str, state: PaymentState, values: dict[str, Any]
) -> None:
    asked = replace(CAPTURE if payment is CAPTURING else CANCEL, deadline=NOW)
    nothing = reply(OutcomeClass.UNKNOWN, nothing_found=True, intent=intent(status))
    assert applied(payment, nothing, deadline=NOW) == decision(
        payment,
        ended(asked, Op.FAILED, "not_performed"),
        step(payment, transition, state, **values),
    )


def test_what_is_seen_and_tells_nothing_puts_the_payment_back() -> None:
    nothing = reply(
        OutcomeClass.UNKNOWN, nothing_found=True, intent=intent("requires_confirmation")
    )
    asked = replace(CANCEL, deadline=NOW)
    assert applied(CANCELING, nothing, deadline=NOW) == decision(
        CANCELING,
        ended(asked, Op.FAILED, "not_performed"),
        step(CANCELING, "authorized", S.AUTHORIZED, wake_time=WAKE),
    )
    assert CREATED < NOW
