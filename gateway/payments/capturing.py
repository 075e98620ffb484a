"""What Stripe's answer to a capture or a cancellation means."""

from dataclasses import replace
from datetime import datetime

from gateway.payments.authorizing import try_anew, unknown
from gateway.payments.checking import Circumstances
from gateway.payments.decision import Decision
from gateway.payments.intents import Observation, Sight, read_intent
from gateway.payments.observing import capture_wake_time, observe
from gateway.payments.operation import Operation, OperationKind, OperationState, backoff
from gateway.payments.payment import Payment, take
from gateway.payments.reply import GivenUp, RailReply
from gateway.payments.states import PaymentState, Transition
from gateway.rails.outcome import OutcomeClass

_WANTED = {OperationKind.CAPTURE: Sight.CAPTURED, OperationKind.CANCEL: Sight.CANCELED}


def settle_capture_or_cancel(
    payment: Payment,
    operation: Operation,
    reply: RailReply | GivenUp,
    given: Circumstances,
    *,
    resend: bool,
) -> Decision:
    """The decision after Stripe was asked to capture or to cancel."""
    so_far = Decision(payment, operation)
    if isinstance(reply, GivenUp):
        return _take_back(so_far, given.now, "deadline")
    if reply.nothing_found:
        if given.now < operation.deadline:
            return try_anew(so_far, given)
        return _take_back(so_far, given.now, "not_performed")
    outcome = reply.outcome_class
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        return _seen(so_far, read_intent(reply.outcome.object), "", given)
    if outcome in (OutcomeClass.REJECTED, OutcomeClass.DECLINED):
        # Refused: the PaymentIntent as it stands says where the payment is now.
        if reply.intent is None:
            return unknown(so_far, reply, given)
        return _seen(so_far, read_intent(reply.intent), reply.code, given)
    if outcome is OutcomeClass.NOT_SENT and not resend:
        wait = backoff(operation.send_count, given.jitter, reply.outcome.retry_after)
        return so_far.later(given.now, wait, unknown=False, failure_code="not_sent")
    return unknown(so_far, reply, given)


def _seen(
    so_far: Decision, observation: Observation, failure_code: str, given: Circumstances
) -> Decision:
    operation = so_far.operation
    if observation.sight is Sight.PROCESSING:
        wait = backoff(operation.send_count, given.jitter)
        return so_far.later(given.now, wait, unknown=True, failure_code="processing")
    if operation.expires_payment:
        observation = replace(observation, expired=True)
    change = observe(so_far.payment, observation, given.now, given.timing, decided=True)
    done = observation.sight is _WANTED[operation.kind]
    state = OperationState.SUCCEEDED if done else OperationState.FAILED
    return so_far.then(change).ended(state, given.now, "" if done else failure_code)


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
