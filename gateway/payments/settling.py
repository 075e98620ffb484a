"""What follows from a reply, whatever the kind of operation."""

from gateway.payments.authorizing import settle_authorization, settle_confirmation
from gateway.payments.capturing import settle_capture_or_cancel
from gateway.payments.checking import Circumstances, give_up_check, settle_check
from gateway.payments.decision import Decision
from gateway.payments.failing_over import is_away, not_allowed_there
from gateway.payments.observing import ContradictionError
from gateway.payments.operation import Operation, OperationKind, OperationState
from gateway.payments.payment import Payment
from gateway.payments.refund import Refund, RefundState
from gateway.payments.refunding import settle_refund
from gateway.payments.reply import CheckReply, GivenUp, Reply
from gateway.payments.states import PaymentState

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


def end_moot(payment: Payment, operation: Operation, given: Circumstances) -> Decision:
    """The decision when there is nothing left to do: the payment stays as it is."""
    was_declined = payment.state in (PaymentState.DECLINED, PaymentState.RETRY_SCHEDULED)
    state = OperationState.DECLINED if was_declined else OperationState.SUCCEEDED
    return Decision(payment, operation).ended(state, given.now)


def settle(
    payment: Payment,
    operation: Operation,
    refund: Refund | None,
    reply: Reply,
    given: Circumstances,
    *,
    resend: bool,
) -> Decision:
    """The decision after the outside world was asked; `resend` if it had been asked before."""
    if is_moot(payment, operation, refund):
        return end_moot(payment, operation, given)
    if operation.kind is OperationKind.CHECK:
        if isinstance(reply, GivenUp):
            return give_up_check(Decision(payment, operation), given.now)
        assert isinstance(reply, CheckReply), reply
        allowed = reply.record is not None and reply.record.verdict == "ALLOW"
        if not allowed and payment.state is PaymentState.RECEIVED and is_away(payment):
            return not_allowed_there(Decision(payment, operation), reply, given)
        return settle_check(payment, operation, reply, given)
    assert not isinstance(reply, CheckReply), reply
    if operation.kind in (OperationKind.AUTHORIZE, OperationKind.REATTEMPT):
        return settle_authorization(payment, operation, reply, given, resend=resend)
    if operation.kind is OperationKind.CONFIRM:
        return settle_confirmation(payment, operation, reply, given)
    if operation.kind is OperationKind.REFUND:
        assert refund is not None
        return settle_refund(payment, operation, refund, reply, given, resend=resend)
    return settle_capture_or_cancel(payment, operation, reply, given, resend=resend)


def end_contradicted(
    payment: Payment, operation: Operation, given: Circumstances, error: ContradictionError
) -> Decision:
    """The decision when Stripe says what cannot be: the payment stays, a person must look."""
    assert error.payment_id == payment.id
    return Decision(payment, operation).ended(OperationState.FAILED, given.now, "contradiction")
