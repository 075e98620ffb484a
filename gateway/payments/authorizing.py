"""What Stripe's answer to an authorisation, or to a confirmation, means."""

from dataclasses import replace

from gateway.payments.checking import Circumstances
from gateway.payments.decision import Decision
from gateway.payments.failing_over import fail_over, not_sent
from gateway.payments.intents import Observation, Sight, charge_id_of, decline_of, read_intent
from gateway.payments.observing import observe
from gateway.payments.operation import (
    Operation,
    OperationKind,
    OperationState,
    backoff,
    next_attempt,
)
from gateway.payments.payment import (
    Change,
    FailureCode,
    Payment,
    PaymentFailure,
    take,
)
from gateway.payments.reply import GivenUp, RailReply
from gateway.payments.retrying import decline_step, put_back_step
from gateway.payments.states import PaymentState, Transition
from gateway.rails.failover import reason_to_leave
from gateway.rails.outcome import OutcomeClass


def settle_authorization(
    payment: Payment,
    operation: Operation,
    reply: RailReply | GivenUp,
    given: Circumstances,
    *,
    resend: bool,
) -> Decision:
    """The decision after Stripe was asked for the money; `resend` if it had been asked before."""
    so_far = Decision(payment, operation)
    if isinstance(reply, GivenUp):
        return _not_sent(so_far, "DEADLINE", given)
    outcome = reply.outcome_class
    if reply.nothing_found:
        return _not_performed(so_far, given)
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        return seen(so_far, read_intent(reply.outcome.object), given)
    if outcome is OutcomeClass.DECLINED:
        return declined(so_far, reply, given)
    if outcome is OutcomeClass.REJECTED:
        if reply.intent is not None:
            observation = read_intent(reply.intent)
            if observation.sight is not Sight.DECLINED:
                return seen(so_far, observation, given)
        return _elsewhere(so_far, reply, given) or _rejected(so_far, reply, given)
    if outcome is OutcomeClass.NOT_SENT and not resend:
        reason = reply.outcome.not_sent_reason
        return _elsewhere(so_far, reply, given) or _not_sent(
            so_far, reason.value if reason is not None else "", given
        )
    return unknown(so_far, reply, given)


def settle_confirmation(
    payment: Payment, operation: Operation, reply: RailReply | GivenUp, given: Circumstances
) -> Decision:
    """The decision after a payment was taken up again when its customer had acted."""
    so_far = Decision(payment, operation)
    if isinstance(reply, GivenUp):
        back = None
        if payment.state is PaymentState.AUTHORIZING:
            back = take(
                payment,
                Transition.ACTION_REQUIRED,
                given.now,
                next_action=payment.next_action,
                wake_time=given.now + given.timing.action,
            )
        return so_far.then(back).ended(OperationState.FAILED, given.now, "deadline")
    outcome = reply.outcome_class
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        return seen(so_far, read_intent(reply.outcome.object), given)
    if outcome is OutcomeClass.DECLINED:
        return declined(so_far, reply, given)
    if outcome is OutcomeClass.REJECTED and reply.intent is not None:
        return seen(so_far, read_intent(reply.intent), given)
    return unknown(so_far, reply, given)


def seen(so_far: Decision, observation: Observation, given: Circumstances) -> Decision:
    """The decision when Stripe has shown the PaymentIntent; PROCESSING is looked at again."""
    now = given.now
    if observation.sight in (Sight.PROCESSING, Sight.NOT_CONFIRMED):
        wait = backoff(so_far.operation.send_count, given.jitter)
        return so_far.later(now, wait, unknown=True, failure_code="processing")
    change = observe(so_far.payment, observation, now, given.timing, decided=True)
    declined_by_bank = observation.sight is Sight.DECLINED
    state = OperationState.DECLINED if declined_by_bank else OperationState.SUCCEEDED
    return so_far.then(change).ended(state, now)


def declined(so_far: Decision, reply: RailReply, given: Circumstances) -> Decision:
    """The decision when the bank or Stripe's rules said no."""
    failure = reply.outcome.failure
    assert failure is not None, "a decline comes with its reason"
    intent = failure.payment_intent or {}
    payment = so_far.payment
    change: Change | None = None
    if payment.state is PaymentState.AUTHORIZING:
        change = decline_step(
            payment,
            decline_of(
                failure.code,
                failure.decline_code,
                failure.advice_code,
                intent.get("last_payment_error"),
            ),
            given.now,
            str(intent.get("id") or payment.payment_intent_id),
            charge_id_of(intent.get("latest_charge")) or payment.charge_id,
        )
    return so_far.then(change).ended(OperationState.DECLINED, given.now, failure.code)


def unknown(so_far: Decision, reply: RailReply, given: Circumstances) -> Decision:
    """The decision when it may have happened: wait, then send the same again or find out."""
    wait = backoff(so_far.operation.send_count, given.jitter, reply.outcome.retry_after)
    return so_far.later(given.now, wait, unknown=True, failure_code=reply.code)


def _elsewhere(so_far: Decision, reply: RailReply, given: Circumstances) -> Decision | None:
    """The decision to charge through another corridor, if this one did not and another may."""
    reason = reason_to_leave(reply.outcome)
    if not reason or so_far.payment.state is not PaymentState.AUTHORIZING:
        return None
    if so_far.payment.decline_count:
        # Its PaymentIntent is here, and of one Stripe takes money once at most.
        return None
    state = (
        OperationState.CANCELED
        if reply.outcome_class is OutcomeClass.NOT_SENT
        else OperationState.FAILED
    )
    return fail_over(so_far.ended(state, given.now, reply.code or reason), reason, given)


def _rejected(so_far: Decision, reply: RailReply, given: Circumstances) -> Decision:
    failure = reply.outcome.failure
    change: Change | None = None
    if so_far.payment.state is PaymentState.AUTHORIZING:
        change = take(
            so_far.payment,
            Transition.FAILED,
            given.now,
            failure=PaymentFailure(
                FailureCode.RAIL_REJECTED,
                stripe_code=failure.code if failure is not None else "",
                stripe_param=failure.param if failure is not None else "",
            ),
            hold_id="",
        )
    return so_far.then(change).ended(OperationState.FAILED, given.now, reply.code)


def _not_performed(so_far: Decision, given: Circumstances) -> Decision:
    """Asked, but Stripe has no trace of it: the customer is long gone, so it is not repeated."""
    change: Change | None = None
    if so_far.payment.state is PaymentState.AUTHORIZING and so_far.payment.decline_count:
        change = put_back_step(so_far.payment, given.now)
    elif so_far.payment.state is PaymentState.AUTHORIZING:
        change = take(
            so_far.payment,
            Transition.FAILED,
            given.now,
            failure=PaymentFailure(FailureCode.OUTCOME_NOT_PERFORMED),
            hold_id="",
        )
    return so_far.then(change).ended(OperationState.FAILED, given.now, "not_performed")


def _not_sent(so_far: Decision, reason: str, given: Circumstances) -> Decision:
    """Nothing was sent, and nobody waits for it any more unless the payment still does."""
    withdrawn = so_far.ended(OperationState.CANCELED, given.now, reason)
    if so_far.payment.state is not PaymentState.AUTHORIZING:
        return withdrawn
    if so_far.payment.decline_count:
        return withdrawn.then(put_back_step(so_far.payment, given.now))
    return not_sent(withdrawn, reason, given)


def try_anew(so_far: Decision, given: Circumstances) -> Decision:
    """The decision when nothing happened and it is still wanted: a new attempt, a new key."""
    assert so_far.operation.kind is not OperationKind.AUTHORIZE, "a charge is not repeated"
    return replace(so_far, operation=next_attempt(so_far.operation, given.now))
