"""A payment whose corridor did not take it: through another one, in the queue, or failed.

What comes here certainly was not charged. Compliance is asked anew for each corridor; one that it
does not allow is passed over, and the payment stands at the end as if there were no other corridor.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.ids import derived_id
from gateway.operations.operation import (
    BACKOFF,
    Operation,
    OperationKind,
    OperationState,
    sent,
)
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.commands import check_operation
from gateway.payments.domain.decision import CheckReply, Decision
from gateway.payments.domain.payment import (
    FailureCode,
    LeftCorridor,
    Payment,
    PaymentFailure,
    QueueReason,
    UnavailablePolicy,
    take,
)
from gateway.payments.domain.routing import Choice, charge_of, may_be_routed
from gateway.payments.domain.states import PaymentState, Transition
from gateway.stripe_client.failover import MAX_HOPS, Elsewhere, Route

# Corridors that a payment leaves in its whole life; afterwards it stays at home.
MAX_LEFT = 16
# How long compliance may be asked about another corridor: the customer waits.
CHECK_WINDOW = timedelta(minutes=10)
COMPLIANCE_UNAVAILABLE = "COMPLIANCE_UNAVAILABLE"


def is_away(payment: Payment) -> bool:
    """Whether another corridor than the client's is being tried."""
    return payment.corridor != payment.home.corridor


def next_route(payment: Payment, elsewhere: Elsewhere) -> Route | None:
    """Where the payment may be charged instead of where it is now, if anywhere."""
    if payment.payment_method_type.is_bank_debit:
        # A mandate names who collects, and that is the account.
        return None
    if payment.stays or len(payment.left_corridors) >= MAX_LEFT:
        return None
    tried, home = _tried(payment), payment.home
    if home.corridor not in tried and len(tried) <= MAX_HOPS and elsewhere.available(home.corridor):
        # Routing had it charged elsewhere first.
        return home
    return elsewhere.next_route(charge_of(payment), tried)


def fail_over(so_far: Decision, reason: str, context: DecisionContext) -> Decision | None:
    """The decision to try another corridor, whose compliance check follows at once; None if there
    is none to try. What comes here was not charged: routing may order those that are left."""
    payment = so_far.payment
    route = next_route(payment, context.elsewhere)
    if route is None:
        return None
    choice = _choice(payment, route, context)
    if choice is not None:
        route = choice.route
    moved = take(
        payment,
        Transition.FAILED_OVER,
        context.now,
        hold_id="",
        left_corridors=_left(payment, reason, context),
        **_at(route),
    )
    check = check_operation(
        moved.after, derived_id("op", so_far.operation.id), context.now, CHECK_WINDOW
    )
    record = choice.record if choice is not None else None
    return replace(so_far.then(moved), follow_up=sent(check, context.now), routing=record)


def _choice(payment: Payment, route: Route, context: DecisionContext) -> Choice | None:
    """What routing says of where the payment goes on instead of by the rules' `route`. What comes
    home has no choice, nor has what may not be routed at all."""
    router = context.router
    if router is None or route.corridor == payment.home.corridor or not may_be_routed(payment):
        return None
    return router.choose_next(payment, context.elsewhere, _tried(payment), context.now)


def not_sent(so_far: Decision, reason: str, context: DecisionContext) -> Decision:
    """The decision when nothing was sent and no other corridor is left: in the queue at home if the
    request says so, else it fails at once. The operation of `so_far` has ended."""
    now, payment = context.now, so_far.payment
    values: dict[str, Any] = {"hold_id": ""}
    if is_away(payment):
        values |= {"left_corridors": _left(payment, reason, context), **_at(payment.home)}
        reason = _reason_at_home(payment) or reason
    elif payment.left_corridors and not _reason_at_home(payment):
        # Routing had sent it elsewhere first: the next time begins at home, as of any payment.
        values["left_corridors"] = _left(payment, reason, context)
    if payment.unavailable_policy is not UnavailablePolicy.QUEUE:
        failure = PaymentFailure(FailureCode.CORRIDOR_UNAVAILABLE, not_sent_reason=reason)
        return so_far.then(take(payment, Transition.FAILED, now, failure=failure, **values))
    assert payment.queue_deadline is not None
    if now >= payment.queue_deadline and payment.state is PaymentState.AUTHORIZING:
        return so_far.then(take(payment, Transition.EXPIRED, now, **values))
    queued = take(
        payment,
        Transition.QUEUED,
        now,
        queue_reason=QueueReason.CORRIDOR_UNAVAILABLE,
        wake_time=payment.queue_deadline,
        **values,
    )
    return replace(
        so_far.then(queued),
        follow_up=queue_up(queued.after, derived_id("op", so_far.operation.id), context),
    )


def not_allowed_there(so_far: Decision, reply: CheckReply, context: DecisionContext) -> Decision:
    """The decision when compliance does not allow the corridor that was failed over to. The
    record of the last check stays: it is about the corridor that the client asked for."""
    verdict = reply.record.verdict if reply.record is not None else ""
    reason = f"COMPLIANCE_{verdict}" if verdict else COMPLIANCE_UNAVAILABLE
    state = OperationState.SUCCEEDED if verdict else OperationState.FAILED
    ended = so_far.ended(state, context.now, reason.lower())
    return fail_over(ended, reason, context) or not_sent(ended, reason, context)


def does_not_wait_there(payment: Payment) -> bool:
    """Whether the payment is about to be charged through another corridor, where nobody waits for
    people: it would go to the next one, or end."""
    return payment.state is PaymentState.RECEIVED and is_away(payment)


def queue_up(payment: Payment, operation_id: str, context: DecisionContext) -> Operation:
    """The operation by which a payment waits in the queue: compliance is asked again at its turn,
    because what it said before the wait may not hold any more."""
    assert payment.queue_deadline is not None
    return Operation(
        id=operation_id,
        subject_id=payment.id,
        kind=OperationKind.CHECK,
        state=OperationState.PENDING,
        corridor=payment.corridor,
        create_time=context.now,
        next_attempt_time=context.now + BACKOFF.pause(1, context.jitter),
        deadline=payment.queue_deadline,
        queued=True,
        queue_time=payment.create_time,
    )


def at_home(payment: Payment) -> dict[str, Any]:
    """The values of a payment that is tried as the client asked for it."""
    return _at(payment.home)


def _at(route: Route) -> dict[str, Any]:
    return {
        "corridor": route.corridor,
        "payment_method": route.payment_method,
        "payment_method_customer": route.payment_method_customer,
        "destination_account": route.destination_account,
    }


def _left(payment: Payment, reason: str, context: DecisionContext) -> tuple[LeftCorridor, ...]:
    left = LeftCorridor(payment.corridor, reason, context.now.isoformat())
    return (*payment.left_corridors, left)


def _tried(payment: Payment) -> list[str]:
    """The corridors that were tried since the payment was last at home, with the present one; of
    one that routing sent elsewhere first, since the beginning."""
    tried, home = [payment.corridor], payment.home.corridor
    left = [each.corridor for each in payment.left_corridors]
    if not is_away(payment):
        return tried if home in left else [*tried, *left]
    # What is before the first time at home is of the same round as that: routing sent it there.
    first = left.index(home) if home in left else 0
    for place in reversed(range(len(left))):
        tried.append(left[place])
        if left[place] == home and place > first:
            break
    return tried


def _reason_at_home(payment: Payment) -> str:
    """Why the client's own corridor did not take it, which is what the client is told; empty if it
    was not tried: routing sent it elsewhere, and home could not be used afterwards."""
    home = payment.home.corridor
    reasons = [left.reason for left in payment.left_corridors if left.corridor == home]
    return reasons[-1] if reasons else ""
