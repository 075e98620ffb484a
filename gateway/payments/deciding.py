"""Deciding what a reply means, whatever the outside world said: what cannot be and what cannot be
read are decided, too, and reported."""

from gateway.payments.domain.apply import apply_outcome, end_contradicted
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, Reply, StripeReply
from gateway.payments.domain.intents import UnreadableIntentError
from gateway.payments.domain.operation import Operation
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import ContradictionError
from gateway.payments.domain.refund import Refund
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from runtime.logs import get_logger, place_of

log = get_logger(__name__)


def decide(
    payment: Payment,
    operation: Operation,
    refund: Refund | None,
    reply: Reply,
    context: DecisionContext,
    *,
    resend: bool,
) -> Decision:
    """The decision after a reply; `resend` if it had been asked for before."""
    try:
        return apply_outcome(payment, operation, refund, reply, context, resend=resend)
    except ContradictionError as error:
        report(operation, "stripe_contradicts", error)
        return end_contradicted(payment, operation, context, error)
    except UnreadableIntentError as error:
        report(operation, "intent_unreadable", error)
        return apply_outcome(payment, operation, refund, unreadable(), context, resend=True)


def unreadable() -> StripeReply:
    """Stripe answered, but not in words that we know: what happened is unknown."""
    return StripeReply(Outcome(OutcomeClass.UNKNOWN, failure=Failure(code="UNREADABLE_ANSWER")))


def report(operation: Operation, what: str, error: Exception) -> None:
    """Logs a fault of ours by its type and place: its message may quote a row."""
    log.error(what, operation_id=operation.id, kind=operation.kind.value, **place_of(error))
