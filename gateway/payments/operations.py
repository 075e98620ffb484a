"""What operations on payments ask, and what comes of it.

What follows from an answer is decided from the payment as it was written last, and written by
group commit if that still stands; else the payment is locked, read and decided anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations.kind import Applied, ApplyContext, Asked, Kind, Lease
from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.apply import apply_outcome, end_contradicted, known_state
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.decision import Decision, Reply, StripeReply
from gateway.payments.domain.intents import UnreadableIntentError
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.reconcile import ContradictionError
from gateway.payments.domain.refund import Refund
from gateway.payments.store import payments as store
from gateway.payments.store.recording import record_changes, record_refund
from gateway.payments.store.snapshot import PaymentSnapshot, PaymentWriter
from gateway.payments.store.writes import Progress, is_grouped
from gateway.payments.stripe.dependencies import Dependencies
from gateway.payments.telemetry import announce_failover, trace_radar
from gateway.stripe_client.failover import Elsewhere
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from runtime.logs import get_logger, place_of

log = get_logger(__name__)

KINDS = (
    OperationKind.CHECK,
    OperationKind.AUTHORIZE,
    OperationKind.REATTEMPT,
    OperationKind.CONFIRM,
    OperationKind.CAPTURE,
    OperationKind.CANCEL,
    OperationKind.REFUND,
)


def kinds(dependencies: Dependencies, writer: PaymentWriter) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on payments."""
    return dict.fromkeys(KINDS, PaymentOperations(dependencies, writer))


@dataclass(frozen=True, slots=True)
class Subject:
    """A payment, and the refund if the operation is for one."""

    payment: Payment
    refund: Refund | None = None


class PaymentOperations:
    """All kinds of them: what they ask and what it means is told apart by pure rules."""

    def __init__(self, dependencies: Dependencies, writer: PaymentWriter) -> None:
        self._dependencies = dependencies
        self._writer = writer

    @property
    def writer(self) -> "PaymentOperations":
        """Outcomes are written by group commit where that can be."""
        return self

    async def load(self, connection: AsyncConnection, operation: Operation) -> Subject:
        """The payment."""
        payment = await store.get_payment(connection, operation.subject_id)
        return await self._subject(connection, operation, payment)

    async def lock(self, connection: AsyncConnection, operation: Operation) -> Subject:
        """The payment, locked."""
        payment = await store.lock_payment(connection, operation.subject_id)
        return await self._subject(connection, operation, payment)

    def known(self, subject: Subject, operation: Operation) -> OperationState | None:
        """Whether the payment, or the refund, says how it ended."""
        return known_state(subject.payment, operation, subject.refund)

    async def send(self, subject: Subject, operation: Operation, resend: bool) -> Outcome | Reply:
        """Asks compliance or Stripe."""
        try:
            return await self._dependencies.send(subject.payment, operation, resend=resend)
        except UnreadableIntentError as error:
            return _unreadable(operation, error)

    async def complete(self, subject: Subject, operation: Operation, outcome: Outcome) -> Reply:
        """After a refusal, the PaymentIntent is read."""
        return await self._dependencies.complete(subject.payment, operation, outcome)

    async def resolve(self, subject: Subject, operation: Operation, now: datetime) -> Reply:
        """Looks it up at Stripe."""
        try:
            return await self._dependencies.resolve(subject.payment, operation, now)
        except UnreadableIntentError as error:
            return _unreadable(operation, error)

    async def apply(
        self,
        connection: AsyncConnection,
        subject: Subject,
        operation: Operation,
        reply: Reply,
        context: ApplyContext,
    ) -> Applied:
        """Writes what follows for the payment as it is now, whoever changed it meanwhile."""
        decision = self._decide(subject, operation, reply, context)
        await record_changes(connection, decision.changes, context.now)
        if decision.routing is not None:
            await store.add_routing_failover(connection, decision.routing)
        if decision.retry is not None:
            await store.add_routing_retry(connection, decision.retry)
        if subject.refund is not None and decision.refund is not None:
            await record_refund(
                connection, decision.payment, subject.refund, decision.refund, context.now
            )
        return self._applied(decision)

    async def write(self, asked: Asked, context: ApplyContext, lease: Lease) -> Applied | None:
        """Writes what follows for the payment as it was written last, by group commit."""
        snapshot: PaymentSnapshot | None = asked.snapshot
        if asked.operation.kind is not OperationKind.REFUND:
            decision = self._decide(asked.subject, asked.operation, asked.reply, context)
            follow_up = decision.follow_up
            if follow_up is not None and follow_up.state is OperationState.RUNNING:
                decision = replace(decision, follow_up=lease(follow_up))
            progress = Progress(
                asked.subject.payment,
                decision.changes,
                decision.operation,
                context.now,
                decision.follow_up,
            )
            if is_grouped(decision) and await self._writer.write(progress):
                if snapshot is not None:
                    snapshot.apply(progress)
                return self._applied(decision)
        if snapshot is not None:
            snapshot.end()
        return None

    def _applied(self, decision: Decision) -> Applied:
        elsewhere = self._dependencies.elsewhere
        return Applied(
            decision.operation,
            Subject(decision.payment, decision.refund),
            decision.follow_up,
            announce=lambda: self._announce(decision, elsewhere),
        )

    def _announce(self, decision: Decision, elsewhere: Elsewhere) -> None:
        announce_failover(decision, elsewhere)
        trace_radar(decision.changes)
        for record in (decision.routing, decision.retry):
            if record is not None:
                self._dependencies.routing_written(record)

    def _decide(
        self, subject: Subject, operation: Operation, reply: Reply, context: ApplyContext
    ) -> Decision:
        given = self._dependencies.decision_context(context.now, context.jitter)
        return decide(
            subject.payment, operation, subject.refund, reply, given, resend=context.resend
        )

    @staticmethod
    async def _subject(
        connection: AsyncConnection, operation: Operation, payment: Payment | None
    ) -> Subject:
        assert payment is not None, "an operation has its payment"
        if operation.kind is not OperationKind.REFUND:
            return Subject(payment)
        assert operation.refund_id is not None
        return Subject(payment, await store.get_refund(connection, operation.refund_id))


def decide(
    payment: Payment,
    operation: Operation,
    refund: Refund | None,
    reply: Reply,
    context: DecisionContext,
    *,
    resend: bool,
) -> Decision:
    """The decision after a reply, whatever the outside world said: what cannot be and what cannot
    be read are decided, too, and reported. `resend` if it had been asked for before."""
    try:
        return apply_outcome(payment, operation, refund, reply, context, resend=resend)
    except ContradictionError as error:
        _report(operation, "stripe_contradicts", error)
        return end_contradicted(payment, operation, context, error)
    except UnreadableIntentError as error:
        unreadable = _unreadable(operation, error)
        return apply_outcome(payment, operation, refund, unreadable, context, resend=True)


def _unreadable(operation: Operation, error: UnreadableIntentError) -> StripeReply:
    """Stripe answered, but not in words that we know: what happened is unknown."""
    _report(operation, "intent_unreadable", error)
    return StripeReply(Outcome(OutcomeClass.UNKNOWN, failure=Failure(code="UNREADABLE_ANSWER")))


def _report(operation: Operation, what: str, error: Exception) -> None:
    """Logs a fault of ours by its type and place: its message may quote a row."""
    log.error(what, operation_id=operation.id, kind=operation.kind.value, **place_of(error))
