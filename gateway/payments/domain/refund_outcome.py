"""What Stripe's answer to a refund, or a refund that was seen at Stripe, means."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.money import from_stripe
from gateway.operations.operation import BACKOFF, GivenUp, Operation, OperationState
from gateway.payments.domain.authorization_outcome import try_anew, unknown
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.destination_fees import newly_taken_back, read_taken_back
from gateway.payments.domain.intents import id_of
from gateway.payments.domain.payment import Change, Payment, take
from gateway.payments.domain.refund import Refund, RefundState, as_stripe_says
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.domain.stripe_params import REFUND_KEY, refunds_fee
from gateway.stripe_client.outcome import Failure, OutcomeClass

# It is known that the bank has not paid; of what is undecided that is still to come.
_NOT_PAID = frozenset(
    {
        *(PaymentState.DECLINED, PaymentState.RETRY_SCHEDULED),
        *(PaymentState.CANCELED, PaymentState.EXPIRED, PaymentState.FAILED),
    }
)


def apply_refund(
    payment: Payment,
    operation: Operation,
    refund: Refund,
    reply: StripeReply | GivenUp,
    context: DecisionContext,
    *,
    resend: bool,
) -> Decision:
    """The decision after Stripe was asked for a refund."""
    so_far = Decision(payment, operation, refund=refund)
    if isinstance(reply, GivenUp):
        return _failed(so_far, refund, "deadline", context)
    if reply.nothing_found:
        if context.now < operation.deadline:
            return try_anew(so_far, context)
        return _failed(so_far, refund, "not_performed", context)
    outcome = reply.outcome_class
    if outcome is OutcomeClass.SUCCEEDED:
        assert reply.outcome.object is not None
        after = as_stripe_says(refund, reply.outcome.object, context.now)
        change = refund_step(payment, refund, after, context, reply.outcome.object)
        return replace(so_far.then(change), refund=after).ended(
            OperationState.SUCCEEDED, context.now
        )
    if outcome in (OutcomeClass.REJECTED, OutcomeClass.DECLINED):
        return _failed(so_far, refund, reply.code, context, reply.outcome.failure)
    if outcome is OutcomeClass.NOT_SENT and not resend:
        wait = BACKOFF.pause(operation.send_count, context.jitter, reply.outcome.retry_after)
        return so_far.later(context.now, wait, unknown=False, failure_code="not_sent")
    return unknown(so_far, reply, context)


def refund_step(
    payment: Payment,
    before: Refund,
    after: Refund,
    context: DecisionContext,
    stripe_refund: Mapping[str, Any] | None = None,
) -> Change | None:
    """The payment's step when a refund became another; None if the amounts stay as they are.
    `stripe_refund` tells what was taken back of a destination charge."""
    taken_back = newly_taken_back(payment, read_taken_back(stripe_refund or {}))
    asked = after.undecided - before.undecided
    refunding = payment.refunding_minor + before.amount_minor * asked
    refunded = payment.refunded_minor + before.amount_minor * (after.accepted - before.accepted)
    if (refunding, refunded) == (payment.refunding_minor, payment.refunded_minor):
        if not taken_back:
            return None
        return take(payment, Transition.REFUND_UPDATED, context.now, **taken_back)
    transition = Transition.REFUND_SUCCEEDED if after.accepted else Transition.REFUND_FAILED
    return take(
        payment,
        transition,
        context.now,
        refunding_minor=refunding,
        refunded_minor=refunded,
        **taken_back,
    )


def takes_back_debit(payment: Payment, stripe_refund: Mapping[str, Any]) -> bool:
    """Whether a refund that we did not ask for is how Stripe takes a bank debit out of its balance
    that was never paid: nobody gets anything back. The sweep books it."""
    if not payment.payment_method_type.is_bank_debit:
        return False
    if REFUND_KEY in (stripe_refund.get("metadata") or {}):
        return False
    another = id_of(stripe_refund.get("charge")) not in ("", payment.charge_id)
    # While a later attempt is decided, for days, an event would be given up.
    told = payment.state in (PaymentState.SUCCEEDED, PaymentState.PROCESSING)
    return payment.state in _NOT_PAID or (told and another)


def refund_made_elsewhere(
    payment: Payment,
    stripe_refund: Mapping[str, Any],
    refund_id: str,
    request_id: str,
    context: DecisionContext,
    *,
    ours: bool = False,
) -> tuple[Refund, Change]:
    """A refund that the database does not know, for example one from Stripe's dashboard: as if
    it had just been asked for, so that what Stripe says of it can follow."""
    asked = Refund(
        id=refund_id,
        request_id=request_id,
        payment_id=payment.id,
        state=RefundState.PENDING,
        amount_minor=from_stripe(payment.currency, int(stripe_refund["amount"])),
        reverse_transfer=False if payment.destination_account else None,
        refund_application_fee=refunds_fee(payment, stripe_refund) if ours else None,
        create_time=context.now,
        update_time=context.now,
    )
    started = take(
        payment,
        Transition.REFUND_STARTED,
        context.now,
        refunding_minor=payment.refunding_minor + asked.amount_minor,
    )
    return asked, started


def _failed(
    so_far: Decision,
    refund: Refund,
    code: str,
    context: DecisionContext,
    failure: Failure | None = None,
) -> Decision:
    after = refund
    if refund.state is RefundState.PENDING and not refund.stripe_refund_id:
        after = replace(
            refund, state=RefundState.FAILED, failure_code=code, update_time=context.now
        )
    change = refund_step(so_far.payment, refund, after, context)
    return replace(so_far.then(change), refund=after).ended(
        OperationState.FAILED, context.now, code, failure
    )
