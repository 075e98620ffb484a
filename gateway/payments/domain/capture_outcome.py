"""What Stripe's answer to a capture or a cancellation means."""

from dataclasses import replace
from datetime import datetime

from gateway.operations.operation import BACKOFF, GivenUp, Operation, OperationKind, OperationState
from gateway.payments.domain.authorization_outcome import try_anew, unknown
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.intents import IntentSnapshot, IntentStatus, read_intent
from gateway.payments.domain.payment import Payment, take
from gateway.payments.domain.reconcile import capture_wake_time, reconcile
from gateway.payments.domain.states import PaymentState, Transition
from gateway.stripe_client.outcome import OutcomeClass

_WANTED = {
    OperationKind.CAPTURE: IntentStatus.CAPTURED,
    OperationKind.CANCEL: IntentStatus.CANCELED,
}


def apply_capture_or_cancel(
    payment: Payment,
    operation: Operation,
    reply: StripeReply | GivenUp,
    context: DecisionContext,
    *,
    resend: bool,
) -> Decision:
    """The decision after Stripe was asked to capture or to cancel."""
    so_far = Decision(payment, operation)
    if isinstance(reply, GivenUp):
        return _take_back(so_far, context.now, "deadline")
    if reply.nothing_found:
        if context.now < operation.deadline:
            return try_anew(so_far, context)
        return _take_back(so_far, context.now, "not_performed")
    outcome = reply.outcome_class
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        return _seen(so_far, read_intent(reply.outcome.object), reply, context)
    if outcome in (OutcomeClass.REJECTED, OutcomeClass.DECLINED):
        # Refused: the PaymentIntent as it stands says where the payment is now.
        if reply.intent is None:
            return unknown(so_far, reply, context)
        return _seen(so_far, read_intent(reply.intent), reply, context)
    if outcome is OutcomeClass.NOT_SENT and not resend:
        wait = BACKOFF.pause(operation.send_count, context.jitter, reply.outcome.retry_after)
        return so_far.later(context.now, wait, unknown=False, failure_code="not_sent")
    return unknown(so_far, reply, context)


def _seen(
    so_far: Decision, snapshot: IntentSnapshot, reply: StripeReply, context: DecisionContext
) -> Decision:
    operation = so_far.operation
    if snapshot.status is IntentStatus.PROCESSING:
        wait = BACKOFF.pause(operation.send_count, context.jitter)
        return so_far.later(context.now, wait, unknown=True, failure_code="processing")
    if operation.expires_payment:
        snapshot = replace(snapshot, expired=True)
    change = reconcile(so_far.payment, snapshot, context.now, context.timing, decided=True)
    done = snapshot.status is _WANTED[operation.kind]
    if done:
        return so_far.then(change).ended(OperationState.SUCCEEDED, context.now)
    refused = so_far.then(change)
    return refused.ended(OperationState.FAILED, context.now, reply.code, reply.outcome.failure)


def _take_back(so_far: Decision, now: datetime, reason: str) -> Decision:
    """It did not happen and is not wanted any more: the payment is where it was."""
    payment = so_far.payment
    change = None
    if payment.state in (PaymentState.CAPTURING, PaymentState.CANCELING):
        if payment.authorized_minor:
            assert payment.capture_before is not None
            change = take(
                payment,
                Transition.AUTHORIZED,
                now,
                wake_time=capture_wake_time(payment.capture_before, now),
            )
        else:
            change = take(
                payment,
                Transition.ACTION_REQUIRED,
                now,
                next_action=payment.next_action,
                wake_time=now,
            )
    return so_far.then(change).ended(OperationState.FAILED, now, reason)
