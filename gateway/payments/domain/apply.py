"""What follows from a reply, whatever the kind of operation."""

from gateway.operations.operation import GivenUp, Operation, OperationKind, OperationState
from gateway.payments.domain.authorization_outcome import apply_authorization, apply_confirmation
from gateway.payments.domain.capture_outcome import apply_capture_or_cancel
from gateway.payments.domain.check_outcome import DecisionContext, apply_check, give_up_check
from gateway.payments.domain.decision import CheckReply, Decision, Reply
from gateway.payments.domain.failover import is_away, not_allowed_there
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import ContradictionError
from gateway.payments.domain.refund import Refund, RefundState
from gateway.payments.domain.refund_outcome import apply_refund
from gateway.payments.domain.states import PaymentState
from gateway.payments.domain.unchecked import ALLOW, UNCHECKED

_STATES_THAT_WAIT = {
    OperationKind.CHECK: frozenset(
        {
            *(PaymentState.RECEIVED, PaymentState.QUEUED, PaymentState.IN_REVIEW),
            PaymentState.RETRY_SCHEDULED,
        }
    ),
    OperationKind.AUTHORIZE: frozenset({PaymentState.AUTHORIZING}),
    OperationKind.REATTEMPT: frozenset({PaymentState.AUTHORIZING}),
    OperationKind.CONFIRM: frozenset({PaymentState.AUTHORIZING}),
    OperationKind.CAPTURE: frozenset({PaymentState.CAPTURING}),
    OperationKind.CANCEL: frozenset({PaymentState.CANCELING}),
}


def is_moot(payment: Payment, operation: Operation, refund: Refund | None) -> bool:
    """Whether what the operation is for is known already, for example from a webhook."""
    if operation.kind is OperationKind.REFUND:
        assert refund is not None
        return refund.state is not RefundState.PENDING or bool(refund.stripe_refund_id)
    return payment.state not in _STATES_THAT_WAIT[operation.kind]


def known_state(
    payment: Payment, operation: Operation, refund: Refund | None
) -> OperationState | None:
    """How the operation ended if what it is for is known already: the payment stays as it is."""
    if not is_moot(payment, operation, refund):
        return None
    was_declined = payment.state in (PaymentState.DECLINED, PaymentState.RETRY_SCHEDULED)
    return OperationState.DECLINED if was_declined else OperationState.SUCCEEDED


def apply_outcome(
    payment: Payment,
    operation: Operation,
    refund: Refund | None,
    reply: Reply,
    context: DecisionContext,
    *,
    resend: bool,
) -> Decision:
    """The decision after the outside world was asked; `resend` if it had been asked before."""
    known = known_state(payment, operation, refund)
    if known is not None:
        return Decision(payment, operation).ended(known, context.now)
    if operation.kind is OperationKind.CHECK:
        if isinstance(reply, GivenUp):
            return give_up_check(Decision(payment, operation), context.now)
        assert isinstance(reply, CheckReply), reply
        allowed = reply.record is not None and reply.record.verdict in (ALLOW, UNCHECKED)
        if not allowed and payment.state is PaymentState.RECEIVED and is_away(payment):
            return not_allowed_there(Decision(payment, operation), reply, context)
        return apply_check(payment, operation, reply, context)
    assert not isinstance(reply, CheckReply), reply
    if operation.kind in (OperationKind.AUTHORIZE, OperationKind.REATTEMPT):
        return apply_authorization(payment, operation, reply, context, resend=resend)
    if operation.kind is OperationKind.CONFIRM:
        return apply_confirmation(payment, operation, reply, context)
    if operation.kind is OperationKind.REFUND:
        assert refund is not None
        return apply_refund(payment, operation, refund, reply, context, resend=resend)
    return apply_capture_or_cancel(payment, operation, reply, context, resend=resend)


def end_contradicted(
    payment: Payment, operation: Operation, context: DecisionContext, error: ContradictionError
) -> Decision:
    """The decision when Stripe says what cannot be: the payment stays, a person must look."""
    assert error.payment_id == payment.id
    return Decision(payment, operation).ended(OperationState.FAILED, context.now, "contradiction")
