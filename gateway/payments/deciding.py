"""Deciding what a reply means, whatever the outside world said: what cannot be and what cannot be
read are decided, too, and reported."""

from gateway.payments.checking import Circumstances
from gateway.payments.decision import Decision
from gateway.payments.intents import UnreadableIntentError
from gateway.payments.observing import ContradictionError
from gateway.payments.operation import Operation
from gateway.payments.payment import Payment
from gateway.payments.refund import Refund
from gateway.payments.reply import RailReply, Reply
from gateway.payments.settling import end_contradicted, settle
from gateway.rails.outcome import Failure, Outcome, OutcomeClass
from runtime.logs import get_logger, place_of

log = get_logger(__name__)


def decide(
    payment: Payment,
    operation: Operation,
    refund: Refund | None,
    reply: Reply,
    given: Circumstances,
    *,
    resend: bool,
) -> Decision:
    """The decision after a reply; `resend` if it had been asked for before."""
    try:
        return settle(payment, operation, refund, reply, given, resend=resend)
    except ContradictionError as error:
        report(operation, "stripe_contradicts", error)
        return end_contradicted(payment, operation, given, error)
    except UnreadableIntentError as error:
        report(operation, "intent_unreadable", error)
        return settle(payment, operation, refund, unreadable(), given, resend=True)


def unreadable() -> RailReply:
    """Stripe answered, but not in words that we know: what happened is unknown."""
    return RailReply(Outcome(OutcomeClass.UNKNOWN, failure=Failure(code="UNREADABLE_ANSWER")))


def report(operation: Operation, what: str, error: Exception) -> None:
    """Logs a fault of ours by its type and place: its message may quote a row."""
    log.error(what, operation_id=operation.id, kind=operation.kind.value, **place_of(error))
