"""What Stripe's answer to a capture or a cancellation means."""

from dataclasses import replace

from gateway.operations.operation import BACKOFF, GivenUp, Operation, OperationKind, OperationState
from gateway.payments.domain.authorization_outcome import try_anew, unknown
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.intents import IntentSnapshot, IntentStatus, read_intent
from gateway.payments.domain.payment import Payment, take
from gateway.payments.domain.processing import next_look_time
from gateway.payments.domain.reconcile import capture_wake_time, reconcile
from gateway.payments.domain.states import PaymentState, Transition
from gateway.stripe_client.outcome import OutcomeClass

# Where the bank decides about a capture later, Stripe has taken it on all the same.
_WANTED = {
    OperationKind.CAPTURE: frozenset({IntentStatus.CAPTURED, IntentStatus.PROCESSING}),
    OperationKind.CANCEL: frozenset({IntentStatus.CANCELED}),
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
        return _take_back(so_far, context, "deadline")
    if reply.nothing_found:
        if context.now < operation.deadline:
            return try_anew(so_far, context)
        if reply.intent is not None:
            change = reconcile(
                payment,
                read_intent(reply.intent),
                context.now,
                context.timing,
                decided=True,
                jitter=context.jitter,
            )
            ended = so_far.then(change)
            if ended.payment.state not in (PaymentState.CAPTURING, PaymentState.CANCELING):
                return ended.ended(OperationState.FAILED, context.now, "not_performed")
        return _take_back(so_far, context, "not_performed")
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
    if operation.expires_payment:
        snapshot = replace(snapshot, expired=True)
    change = reconcile(
        so_far.payment,
        snapshot,
        context.now,
        context.timing,
        decided=True,
        jitter=context.jitter,
    )
    done = snapshot.status in _WANTED[operation.kind]
    if done:
        return so_far.then(change).ended(OperationState.SUCCEEDED, context.now)
    refused = so_far.then(change)
    return refused.ended(OperationState.FAILED, context.now, reply.code, reply.outcome.failure)


def _take_back(so_far: Decision, context: DecisionContext, reason: str) -> Decision:
    """It did not happen and is not wanted any more: the payment is where it was."""
    payment, now = so_far.payment, context.now
    change = None
    if payment.state in (PaymentState.CAPTURING, PaymentState.CANCELING):
        if payment.capture_before is not None:
            change = take(
                payment,
                Transition.AUTHORIZED,
                now,
                wake_time=capture_wake_time(payment.capture_before, now),
            )
        elif payment.next_action is None:
            # Neither held nor waiting for the customer: the bank was deciding about it.
            change = take(
                payment,
                Transition.PROCESSING_STARTED,
                now,
                wake_time=next_look_time(now, now, context.jitter),
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
