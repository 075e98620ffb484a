"""What the answer of the compliance service means: charge, stop, wait for a person or be queued."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.ids import derived_id
from gateway.operations.operation import (
    BACKOFF,
    Operation,
    OperationKind,
    OperationState,
    next_attempt,
    sent,
)
from gateway.payments.domain.decision import CheckReply, Decision
from gateway.payments.domain.decline_retries import is_too_late, put_back_step
from gateway.payments.domain.payment import (
    FailureCode,
    Payment,
    PaymentFailure,
    QueueReason,
    UnavailablePolicy,
    take,
)
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.routing import Router
from gateway.payments.domain.states import PaymentState, Transition
from gateway.payments.domain.stripe_params import authorize_params, encode, reattempt_params
from gateway.payments.domain.unchecked import ALLOW, UNCHECKED
from gateway.stripe_client.failover import Elsewhere

# How long a charge may be asked for, again and again: afterwards the customer no longer expects
# it, and it is only found out whether it happened.
AUTHORIZE_WINDOW = timedelta(minutes=10)


NOWHERE = Elsewhere({}, lambda _corridor: False)


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What a decision needs besides what is written down, so that it can be pure."""

    now: datetime
    timing: Timing
    # Uniform in [0, 1).
    jitter: float
    # The other corridors there are.
    elsewhere: Elsewhere = NOWHERE
    # Who orders them; None where the operators' rules alone do.
    router: Router | None = None


def apply_check(
    payment: Payment, operation: Operation, reply: CheckReply, context: DecisionContext
) -> Decision:
    """The decision after compliance was asked."""
    so_far = Decision(payment, operation)
    if reply.record is None:
        return _unreachable(so_far, reply, context)
    payment = replace(payment, compliance=reply.record)
    so_far = Decision(payment, operation)
    if reply.record.verdict in (ALLOW, UNCHECKED):
        return _allowed(so_far, reply, context)
    ends = payment.fails_in_review and payment.state is not PaymentState.IN_REVIEW
    if reply.record.verdict == "DENY" or ends:
        denied = take(payment, Transition.COMPLIANCE_DENIED, context.now)
        return so_far.then(denied).ended(OperationState.SUCCEEDED, context.now)
    return _review(so_far, context)


def give_up_check(so_far: Decision, now: datetime) -> Decision:
    """The decision when time was over before compliance allowed the charge."""
    payment = so_far.payment
    if payment.state in (PaymentState.QUEUED, PaymentState.IN_REVIEW):
        change = take(payment, Transition.EXPIRED, now)
    elif payment.state is PaymentState.RETRY_SCHEDULED:
        change = put_back_step(payment, now)
    else:
        change = take(
            payment,
            Transition.FAILED,
            now,
            failure=PaymentFailure(FailureCode.COMPLIANCE_UNAVAILABLE),
        )
    return so_far.then(change).ended(OperationState.CANCELED, now, "deadline")


def authorization(payment: Payment, operation_id: str, now: datetime) -> Operation:
    """The operation that asks Stripe for the money, as it is before its first byte goes out."""
    # A payment keeps its PaymentIntent, so that Stripe itself takes its money once at most.
    again = payment.decline_count > 0 and bool(payment.payment_intent_id)
    params = reattempt_params(payment) if again else authorize_params(payment)
    operation = Operation(
        id=operation_id,
        subject_id=payment.id,
        kind=OperationKind.REATTEMPT if again else OperationKind.AUTHORIZE,
        state=OperationState.PENDING,
        corridor=payment.corridor,
        create_time=now,
        next_attempt_time=now,
        deadline=now + AUTHORIZE_WINDOW,
        params=encode(params),
        # One charge of a payment in an account, however often it is begun anew before anything is
        # sent, and whatever this database has forgotten since.
        key_prefix="" if again else f"{payment.id}-{payment.corridor}",
        amount_minor=payment.amount_minor,
    )
    return sent(operation, now)


def _allowed(so_far: Decision, reply: CheckReply, context: DecisionContext) -> Decision:
    now = context.now
    if is_too_late(so_far.payment, now):
        # It was asked about, or in review, for so long that the client does not want it any more.
        over = so_far.then(take(so_far.payment, Transition.DECLINED, now))
        return over.ended(OperationState.SUCCEEDED, now)
    # What was decided before stays: the same request must have the same parameters.
    asked = so_far.payment.three_d_secure or reply.three_d_secure
    allowed = take(so_far.payment, Transition.COMPLIANCE_ALLOWED, now, three_d_secure=asked)
    so_far = so_far.then(allowed)
    follow_up = authorization(so_far.payment, derived_id("op", so_far.operation.id), now)
    started = take(so_far.payment, Transition.AUTHORIZATION_STARTED, now, hold_id=follow_up.id)
    return replace(so_far.then(started).ended(OperationState.SUCCEEDED, now), follow_up=follow_up)


def _review(so_far: Decision, context: DecisionContext) -> Decision:
    """IN_REVIEW, asked again now and then, each time as a new question."""
    now, payment, operation = context.now, so_far.payment, so_far.operation
    deadline = operation.deadline
    if payment.state is not PaymentState.IN_REVIEW:
        deadline = now + context.timing.review
        so_far = so_far.then(take(payment, Transition.REVIEW_REQUIRED, now, wake_time=deadline))
    again = replace(
        next_attempt(operation, now),
        next_attempt_time=now + context.timing.review_recheck,
        deadline=deadline,
        queued=False,
    )
    return replace(so_far, operation=again)


def _unreachable(so_far: Decision, reply: CheckReply, context: DecisionContext) -> Decision:
    """Never charge: wait in the queue if the request says so, else fail."""
    now, payment = context.now, so_far.payment
    wait = BACKOFF.pause(so_far.operation.send_count, context.jitter, reply.retry_after)
    if payment.customer_returned and payment.state is PaymentState.RETRY_SCHEDULED:
        # The customer waits: better told now than charged later.
        back = so_far.then(put_back_step(payment, now))
        return back.ended(OperationState.FAILED, now, "compliance_unavailable")
    if payment.state is not PaymentState.RECEIVED:
        return so_far.later(now, wait, unknown=False, failure_code="compliance_unavailable")
    if payment.unavailable_policy is UnavailablePolicy.QUEUE:
        assert payment.queue_deadline is not None
        queued = take(
            payment,
            Transition.QUEUED,
            now,
            queue_reason=QueueReason.COMPLIANCE_UNAVAILABLE,
            wake_time=payment.queue_deadline,
        )
        so_far = so_far.then(queued).later(now, wait, unknown=False)
        return replace(
            so_far,
            operation=replace(so_far.operation, queued=True, deadline=payment.queue_deadline),
        )
    failed = take(
        payment,
        Transition.FAILED,
        now,
        failure=PaymentFailure(FailureCode.COMPLIANCE_UNAVAILABLE),
    )
    return so_far.then(failed).ended(OperationState.FAILED, now, "compliance_unavailable")
