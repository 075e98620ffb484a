"""What Stripe's answer to an authorisation, or to a confirmation, means."""

from dataclasses import replace

from gateway.operations.operation import (
    BACKOFF,
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
    next_attempt,
)
from gateway.payments.domain.card import card_of
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.decline_retries import decline_step, put_back_step
from gateway.payments.domain.failover import fail_over, not_sent
from gateway.payments.domain.intents import (
    IntentSnapshot,
    IntentStatus,
    decline_of,
    id_of,
    read_intent,
)
from gateway.payments.domain.payment import Change, FailureCode, Payment, PaymentFailure, take
from gateway.payments.domain.radar import radar_outcome_of
from gateway.payments.domain.reconcile import reconcile
from gateway.payments.domain.retry_policy import retry_window
from gateway.payments.domain.routing import may_be_retried_later
from gateway.payments.domain.states import PaymentState, Transition
from gateway.stripe_client.failover import reason_to_leave
from gateway.stripe_client.outcome import Failure, OutcomeClass


def apply_authorization(
    payment: Payment,
    operation: Operation,
    reply: StripeReply | GivenUp,
    context: DecisionContext,
    *,
    resend: bool,
) -> Decision:
    """The decision after Stripe was asked for the money; `resend` if it had been asked before."""
    so_far = Decision(payment, operation)
    if isinstance(reply, GivenUp):
        return _not_sent(so_far, "DEADLINE", context)
    outcome = reply.outcome_class
    if reply.nothing_found:
        return _not_performed(so_far, context)
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        return seen(so_far, read_intent(reply.outcome.object), context)
    if outcome is OutcomeClass.DECLINED:
        return declined(so_far, reply, context)
    if outcome is OutcomeClass.REJECTED:
        if reply.intent is not None:
            snapshot = read_intent(reply.intent)
            if snapshot.status is not IntentStatus.DECLINED:
                return seen(so_far, snapshot, context)
        return _elsewhere(so_far, reply, context) or _rejected(so_far, reply, context)
    if outcome is OutcomeClass.NOT_SENT and not resend:
        reason = reply.outcome.not_sent_reason
        return _elsewhere(so_far, reply, context) or _not_sent(
            so_far, reason.value if reason is not None else "", context
        )
    return unknown(so_far, reply, context)


def apply_confirmation(
    payment: Payment, operation: Operation, reply: StripeReply | GivenUp, context: DecisionContext
) -> Decision:
    """The decision after a payment was taken up again when its customer had acted."""
    so_far = Decision(payment, operation)
    if isinstance(reply, GivenUp):
        back = None
        if payment.state is PaymentState.AUTHORIZING:
            back = take(
                payment,
                Transition.ACTION_REQUIRED,
                context.now,
                next_action=payment.next_action,
                wake_time=context.now + context.timing.action_of(payment),
            )
        return so_far.then(back).ended(OperationState.FAILED, context.now, "deadline")
    outcome = reply.outcome_class
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        return seen(so_far, read_intent(reply.outcome.object), context)
    if outcome is OutcomeClass.DECLINED:
        return declined(so_far, reply, context)
    if outcome is OutcomeClass.REJECTED and reply.intent is not None:
        return seen(so_far, read_intent(reply.intent), context)
    return unknown(so_far, reply, context)


def seen(so_far: Decision, snapshot: IntentSnapshot, context: DecisionContext) -> Decision:
    """The decision when Stripe has shown the PaymentIntent."""
    now = context.now
    if snapshot.status is IntentStatus.NOT_CONFIRMED:
        wait = BACKOFF.pause(so_far.operation.send_count, context.jitter)
        return so_far.later(now, wait, unknown=True, failure_code="not_confirmed")
    change = reconcile(
        so_far.payment, snapshot, now, context.timing, decided=True, jitter=context.jitter
    )
    declined_by_bank = snapshot.status is IntentStatus.DECLINED
    state = OperationState.DECLINED if declined_by_bank else OperationState.SUCCEEDED
    return _with_retry_time(so_far, change, context).ended(state, now)


def declined(so_far: Decision, reply: StripeReply, context: DecisionContext) -> Decision:
    """The decision when the bank or Stripe's rules said no."""
    failure = reply.outcome.failure
    assert failure is not None, "a decline comes with its reason"
    intent = failure.payment_intent or {}
    payment = so_far.payment
    change: Change | None = None
    if payment.state is PaymentState.AUTHORIZING:
        charge = intent.get("latest_charge")
        change = decline_step(
            payment,
            decline_of(
                failure.code,
                failure.decline_code,
                failure.advice_code,
                intent.get("last_payment_error"),
            ),
            context.now,
            str(intent.get("id") or payment.payment_intent_id),
            id_of(charge) or payment.charge_id,
            radar_outcome_of(charge),
            card_of(charge),
        )
    decided = _with_retry_time(so_far, change, context)
    return decided.ended(OperationState.DECLINED, context.now, failure.reason, failure)


def _with_retry_time(so_far: Decision, change: Change | None, context: DecisionContext) -> Decision:
    """The decision with a step that may be a decline: where another attempt follows, routing may
    choose among the times that are allowed."""
    if change is None or change.transition != Transition.RETRY_SCHEDULED or context.router is None:
        return so_far.then(change)
    before, after = change.before, change.after
    assert before is not None, "it was there before it was declined"
    assert after.decline is not None, "it was declined"
    window = retry_window(before, after.decline, context.now)
    assert window is not None, "another attempt follows"
    choice = None
    if may_be_retried_later(before):
        choice = context.router.choose_retry_time(after, window, context.now)
    if choice is None:
        return so_far.then(change)
    assert window.earliest <= choice.time <= window.latest, "only what is allowed is chosen"
    moved = replace(change, after=replace(after, wake_time=choice.time))
    return replace(so_far.then(moved), retry=choice.record)


def unknown(so_far: Decision, reply: StripeReply, context: DecisionContext) -> Decision:
    """The decision when it may have happened: wait, then send the same again or find out."""
    wait = BACKOFF.pause(so_far.operation.send_count, context.jitter, reply.outcome.retry_after)
    return so_far.later(context.now, wait, unknown=True, failure_code=reply.code)


def _elsewhere(so_far: Decision, reply: StripeReply, context: DecisionContext) -> Decision | None:
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
    ended = so_far.ended(state, context.now, reply.code or reason, reply.outcome.failure)
    return fail_over(ended, reason, context)


def _rejected(so_far: Decision, reply: StripeReply, context: DecisionContext) -> Decision:
    failure = reply.outcome.failure or Failure()
    change: Change | None = None
    if so_far.payment.state is PaymentState.AUTHORIZING:
        change = take(
            so_far.payment,
            Transition.FAILED,
            context.now,
            failure=PaymentFailure(
                FailureCode.STRIPE_REJECTED,
                stripe_code=failure.code,
                stripe_param=failure.param,
                stripe_type=failure.type,
                stripe_request_id=failure.stripe_request_id,
                reason=reply.lost,
            ),
            hold_id="",
        )
    return so_far.then(change).ended(OperationState.FAILED, context.now, reply.code, failure)


def _not_performed(so_far: Decision, context: DecisionContext) -> Decision:
    """Asked, but Stripe has no trace of it: the customer is long gone, so it is not repeated."""
    change: Change | None = None
    if so_far.payment.state is PaymentState.AUTHORIZING and so_far.payment.decline_count:
        change = put_back_step(so_far.payment, context.now)
    elif so_far.payment.state is PaymentState.AUTHORIZING:
        change = take(
            so_far.payment,
            Transition.FAILED,
            context.now,
            failure=PaymentFailure(FailureCode.OUTCOME_NOT_PERFORMED),
            hold_id="",
        )
    return so_far.then(change).ended(OperationState.FAILED, context.now, "not_performed")


def _not_sent(so_far: Decision, reason: str, context: DecisionContext) -> Decision:
    """Nothing was sent, and nobody waits for it any more unless the payment still does."""
    withdrawn = so_far.ended(OperationState.CANCELED, context.now, reason)
    if so_far.payment.state is not PaymentState.AUTHORIZING:
        return withdrawn
    if so_far.payment.decline_count:
        return withdrawn.then(put_back_step(so_far.payment, context.now))
    return not_sent(withdrawn, reason, context)


def try_anew(so_far: Decision, context: DecisionContext) -> Decision:
    """The decision when nothing happened and it is still wanted: a new attempt, a new key."""
    assert so_far.operation.kind is not OperationKind.AUTHORIZE, "a charge is not repeated"
    return replace(so_far, operation=next_attempt(so_far.operation, context.now))
