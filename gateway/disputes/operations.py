"""What operations on disputes ask, and what comes of it: evidence, and giving a dispute up."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.disputes import store
from gateway.disputes.domain import ANSWERABLE, CLOSED, Dispute, DisputeState
from gateway.disputes.stripe_events import Disputes
from gateway.operations.kind import Applied, ApplyContext, Kind, PlainKind
from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
    after_outcome,
    silence,
)
from gateway.payments.store import payments as payment_store
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass


def kinds(stripe_client: StripeClient, disputes: Disputes) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on disputes."""
    answer = DisputeAnswer(stripe_client, disputes)
    return {OperationKind.SUBMIT_EVIDENCE: answer, OperationKind.ACCEPT_DISPUTE: answer}


def known_state(dispute: Dispute, operation: Operation) -> OperationState | None:
    """How an operation on a dispute ended, if the dispute as it stands says so."""
    happened = _has_happened(operation.kind, dispute.state, dispute.submission_count)
    return OperationState.SUCCEEDED if happened else None


class DisputeAnswer(PlainKind):
    """Answers a dispute at Stripe, and takes over the dispute that Stripe answers with."""

    def __init__(self, stripe_client: StripeClient, disputes: Disputes) -> None:
        self._stripe = stripe_client
        self._disputes = disputes

    async def load(self, connection: AsyncConnection, operation: Operation) -> Dispute:
        """The dispute."""
        dispute = await store.get(connection, operation.subject_id)
        assert dispute is not None, "an operation has its dispute"
        return dispute

    async def lock(self, connection: AsyncConnection, operation: Operation) -> Dispute:
        """The dispute, with its payment locked."""
        dispute = await store.lock_dispute(connection, operation.subject_id)
        assert dispute is not None, "an operation has its dispute"
        return dispute

    def known(self, dispute: Dispute, operation: Operation) -> OperationState | None:
        """Whether the dispute says how it ended."""
        return known_state(dispute, operation)

    async def send(self, dispute: Dispute, operation: Operation, _resend: bool) -> Outcome:
        """Asks Stripe, with the operation's key and parameters."""
        evidence = operation.kind is OperationKind.SUBMIT_EVIDENCE
        stripe_client = self._stripe.disputes
        call = stripe_client.update_dispute if evidence else stripe_client.close_dispute
        return await call(
            operation.corridor,
            dispute.stripe_dispute_id,
            json.loads(operation.params),
            operation.idempotency_key,
        )

    async def resolve(self, dispute: Dispute, operation: Operation, now: datetime) -> Outcome:
        """Looks at the dispute: it says whether it was answered or given up."""
        seen = await self._stripe.records.retrieve_dispute(
            operation.corridor, dispute.stripe_dispute_id
        )
        if not seen.succeeded or seen.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
        state = DisputeState(str(seen.object["status"]).upper())
        count = int(seen.object["evidence_details"]["submission_count"])
        return seen if _has_happened(operation.kind, state, count) else silence(operation, now)

    async def apply(
        self,
        connection: AsyncConnection,
        dispute: Dispute,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The dispute as Stripe answered with it."""
        after = after_outcome(operation, reply, context.now, context.jitter)
        if not isinstance(reply, GivenUp) and reply.object is not None:
            payment = await payment_store.get_payment(connection, dispute.payment_id)
            assert payment is not None, "a dispute has its payment"
            look_time = operation.last_send_time or context.now
            dispute = await self._disputes.write(connection, payment, reply.object, look_time)
        return Applied(after, dispute)


def _has_happened(kind: OperationKind, state: DisputeState, submission_count: int) -> bool:
    """Whether a dispute that stands like this was answered, or given up."""
    if kind is OperationKind.SUBMIT_EVIDENCE:
        return submission_count > 0 and state not in ANSWERABLE
    return state in CLOSED
