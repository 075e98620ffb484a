"""What a PaymentIntent means in every state: compared with a table written from docs/gateway.md.

The table says for each of Stripe's statuses where a payment goes from each state; what it does not
name stays where it is, or contradicts what is known.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.operations.operation import GivenUp, OperationState
from gateway.payments.domain.apply import apply_outcome
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.commands import CommandContext, Start, start_cancel, start_capture
from gateway.payments.domain.decision import StripeReply
from gateway.payments.domain.intents import IntentSnapshot, read_intent
from gateway.payments.domain.payment import NextAction, Payment
from gateway.payments.domain.reconcile import (
    ContradictionError,
    Timing,
    capture_wake_time,
    covers,
    reconcile,
)
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from tests.gateway.payments.test_commanding import in_state

S = PaymentState
NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TIMING = Timing(action=timedelta(hours=3))
CONTEXT = DecisionContext(NOW, TIMING, 0.5)
CONTRADICTION = "contradiction"
UNDECIDED = (S.AUTHORIZING, S.REQUIRES_ACTION, S.PROCESSING)
HELD = (*UNDECIDED, S.AUTHORIZED, S.CAPTURING, S.CANCELING)
UNDER_WAY = (S.CAPTURING, S.CANCELING)
# Nothing was asked of Stripe, or its hold was given back: there can be no money of the payment.
NEVER_ASKED = (S.RECEIVED, S.COMPLIANCE_CHECKED, S.BLOCKED, S.IN_REVIEW, S.QUEUED)
# A charge that was thought not to have happened may surface.
MAY_SURFACE = (S.RETRY_SCHEDULED, S.DECLINED, S.EXPIRED, S.FAILED)
STATUSES = (
    *("requires_confirmation", "requires_action", "processing", "requires_capture"),
    *("succeeded", "canceled", "requires_payment_method"),
)


def expected(state: PaymentState, status: str, *, decided: bool, same: bool) -> str | None:
    """The state that follows, CONTRADICTION, or None if nothing follows."""
    held = decided and state in UNDER_WAY
    match status:
        case "succeeded":
            if state in (*HELD, *MAY_SURFACE):
                return S.SUCCEEDED
            return None if state is S.SUCCEEDED else CONTRADICTION
        case "processing":
            # What a capture, a refusal or the next attempt followed was processed before.
            past = state in (S.PROCESSING, S.AUTHORIZED, S.SUCCEEDED, S.DECLINED, S.RETRY_SCHEDULED)
            if past or (state in UNDER_WAY and not decided):
                return None
            if same and state in (S.BLOCKED, S.CANCELED, S.EXPIRED, S.FAILED):
                return None
            may = state in (S.AUTHORIZING, S.REQUIRES_ACTION, *UNDER_WAY, S.EXPIRED, S.FAILED)
            return S.PROCESSING if may else CONTRADICTION
        case "requires_capture":
            if state in (S.AUTHORIZED, S.SUCCEEDED) or (state in UNDER_WAY and not decided):
                return None
            if same and state in (S.CANCELED, S.EXPIRED):
                return None
            return S.AUTHORIZED if state in (*HELD, *MAY_SURFACE) else CONTRADICTION
        case "canceled":
            if state in (*HELD, S.IN_REVIEW, S.QUEUED, S.RETRY_SCHEDULED):
                return S.CANCELED
            return (
                None
                if state not in NEVER_ASKED[:2] and state is not S.SUCCEEDED
                else (CONTRADICTION)
            )
        case "requires_payment_method" | "requires_action" if state is S.CAPTURING and held:
            # What was authorised is captured or canceled, and nothing else.
            return CONTRADICTION
        case "requires_payment_method":
            asked = state in UNDECIDED or held
            return S.DECLINED if asked else None
        case "requires_action":
            asked = decided and state in (S.AUTHORIZING, S.PROCESSING, S.CANCELING)
            return S.REQUIRES_ACTION if asked else None
    return None


def seen(status: str, name: str = "pi_1", **values: Any) -> IntentSnapshot:
    amounts = {
        "succeeded": {"amount_received": 700},
        "requires_capture": {"amount_capturable": 900},
    }
    return read_intent(
        {
            "id": name,
            "status": status,
            "currency": "eur",
            "latest_charge": "ch_1",
            **amounts.get(status, {}),
            **values,
        }
    )


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("state", S)
def test_each_status_means_one_thing_in_each_state(
    state: PaymentState, status: str, decided: bool
) -> None:
    for name in ("pi_1", "pi_2"):
        payment = in_state(state, payment_intent_id="pi_1")
        then = expected(state, status, decided=decided, same=name == "pi_1")
        if then == CONTRADICTION:
            with pytest.raises(ContradictionError, match=f"pay_1 is {state}, but {name}"):
                reconcile(payment, seen(status, name), NOW, TIMING, decided=decided)
            continue
        change = reconcile(payment, seen(status, name), NOW, TIMING, decided=decided)
        assert (change.after.state if change else None) == then
        if change is None:
            continue
        after = change.after
        assert (after.payment_intent_id, after.charge_id) == (name, "ch_1")
        assert (after.update_time, after.revision) == (NOW, payment.revision + 1)
        assert bool(after.hold_id) == (then in HELD)
        amounts = (after.authorized_minor, after.captured_minor)
        if then is S.SUCCEEDED:
            assert amounts == (max(700, payment.authorized_minor), 700)
        elif then is S.AUTHORIZED:
            assert amounts == (900, 0)
        elif then is S.CANCELED:
            assert amounts == (0, 0)
        elif then is S.REQUIRES_ACTION:
            assert after.wake_time == NOW + timedelta(hours=3)
            assert after.next_action == NextAction()


def test_every_state_and_status_has_its_row() -> None:
    reached = {
        expected(state, status, decided=True, same=False) for state in S for status in STATUSES
    }
    assert reached == {
        *(None, CONTRADICTION),
        *(S.SUCCEEDED, S.AUTHORIZED, S.CANCELED, S.DECLINED, S.REQUIRES_ACTION, S.PROCESSING),
    }


def test_what_stripe_ended_for_its_age_has_expired() -> None:
    for reason in ("automatic", "expired"):
        change = reconcile(
            in_state(S.AUTHORIZED),
            seen("canceled", cancellation_reason=reason),
            NOW,
            TIMING,
            decided=False,
        )
        assert change is not None
        assert change.after.state is S.EXPIRED


def charge(capture_before: datetime) -> dict[str, Any]:
    card = {"capture_before": int(capture_before.timestamp())}
    return {"latest_charge": {"id": "ch_1", "payment_method_details": {"card": card}}}


def test_without_a_deadline_of_stripes_there_are_seven_days_to_capture() -> None:
    """https://docs.stripe.com/payments/place-a-hold-on-a-payment-method"""
    payment = in_state(S.AUTHORIZING)
    change = reconcile(payment, seen("requires_capture"), NOW, TIMING, decided=False)
    assert change is not None
    assert change.after.capture_before == NOW + 7 * DAY
    assert change.after.wake_time == NOW + 6 * DAY
    named = seen("requires_capture", **charge(NOW + 2 * DAY))
    told = reconcile(payment, named, NOW, TIMING, decided=False)
    assert told is not None
    assert (told.after.capture_before, told.after.wake_time) == (NOW + 2 * DAY, NOW + DAY)
    known = replace(in_state(S.CAPTURING), capture_before=NOW + 5 * DAY)
    kept = reconcile(known, seen("requires_capture"), NOW, TIMING, decided=True)
    assert kept is not None
    assert kept.after.capture_before == NOW + 5 * DAY


@pytest.mark.parametrize(
    ("left", "wakes_in"),
    [(2 * DAY, DAY), (DAY + timedelta(seconds=1), timedelta(seconds=1)), (DAY, DAY)],
)
def test_a_day_before_the_end_somebody_is_warned(left: timedelta, wakes_in: timedelta) -> None:
    assert capture_wake_time(NOW + left, NOW) == NOW + wakes_in


REFUSED = Outcome(
    OutcomeClass.REJECTED, failure=Failure(code="capture_charge_authorization_expired")
)


def started(payment: Payment, command: str) -> Start:
    context = CommandContext(NOW, "op_2", "", 0)
    start = (
        start_capture(payment, None, context)
        if command == "capture"
        else start_cancel(payment, context)
    )
    assert isinstance(start, Start)
    return start


@pytest.mark.parametrize("command", ["capture", "cancel"])
@pytest.mark.parametrize("how", ["refused", "given up", "not performed"])
def test_what_was_refused_stands_where_it_was(command: str, how: str) -> None:
    start = started(in_state(S.AUTHORIZED, authorized_minor=900), command)
    assert start.operation is not None
    reply: StripeReply | GivenUp = GivenUp()
    context = CONTEXT
    if how == "refused":
        shown = {"id": "pi_1", "status": "requires_capture", "amount_capturable": 900}
        reply = StripeReply(REFUSED, intent={**shown, "currency": "eur"})
    elif how == "not performed":
        reply = StripeReply(Outcome(OutcomeClass.UNKNOWN), nothing_found=True)
        context = replace(CONTEXT, now=start.operation.deadline)
    decision = apply_outcome(start.payment, start.operation, None, reply, context, resend=False)
    back = decision.payment
    assert (back.state, back.hold_id, back.authorized_minor) == (S.AUTHORIZED, "op_1", 900)
    assert back.capture_before == NOW + DAY
    assert back.wake_time == NOW + DAY
    assert decision.operation.state is OperationState.FAILED
    assert (
        decision.operation.failure_code
        == {
            "refused": "capture_charge_authorization_expired",
            "given up": "deadline",
            "not performed": "not_performed",
        }[how]
    )


def test_a_cancellation_given_up_waits_for_the_customer_again() -> None:
    action = NextAction(redirect_url="https://bank.example/3ds")
    start = started(in_state(S.REQUIRES_ACTION, next_action=action), "cancel")
    assert start.operation is not None
    decision = apply_outcome(start.payment, start.operation, None, GivenUp(), CONTEXT, resend=False)
    back = decision.payment
    assert (back.state, back.next_action, back.wake_time) == (S.REQUIRES_ACTION, action, NOW)


@pytest.mark.parametrize("command", ["capture", "cancel"])
def test_only_what_was_wanted_is_a_success(command: str) -> None:
    wanted = "succeeded" if command == "capture" else "canceled"
    for status in ("succeeded", "canceled"):
        start = started(in_state(S.AUTHORIZED), command)
        assert start.operation is not None
        shown = {"id": "pi_1", "status": status, "currency": "eur", "amount_received": 700}
        outcome = Outcome(OutcomeClass.SUCCEEDED, object=shown)
        reply = StripeReply(outcome)
        done = apply_outcome(start.payment, start.operation, None, reply, CONTEXT, resend=False)
        assert done.payment.state == (S.SUCCEEDED if status == "succeeded" else S.CANCELED)
        right = OperationState.SUCCEEDED if status == wanted else OperationState.FAILED
        assert done.operation.state is right


def test_what_was_not_performed_is_tried_anew_while_it_is_wanted() -> None:
    start = started(in_state(S.AUTHORIZED), "capture")
    assert start.operation is not None
    reply = StripeReply(Outcome(OutcomeClass.UNKNOWN), nothing_found=True)
    last = replace(CONTEXT, now=start.operation.deadline - timedelta(microseconds=1))
    again = apply_outcome(start.payment, start.operation, None, reply, last, resend=True)
    assert again.payment.state is S.CAPTURING
    assert again.operation.attempt == 2
    assert again.operation.open


def test_only_what_says_nothing_new_is_covered() -> None:
    succeeded = in_state(S.SUCCEEDED, payment_intent_id="pi_1", captured_minor=700)
    assert covers(succeeded, seen("succeeded"))
    assert not covers(succeeded, seen("canceled"))
    assert not covers(succeeded, seen("succeeded", "pi_2"))
    assert not covers(in_state(S.AUTHORIZED), seen("succeeded"))
