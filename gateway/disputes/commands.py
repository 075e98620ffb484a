"""Answering disputes: what may be asked of Stripe, asking it, and finding out what came of it."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.disputes import store
from gateway.disputes.domain import ANSWERABLE, APPEALS, CLOSED, Dispute, DisputeState
from gateway.disputes.errors import dispute_not_found
from gateway.disputes.stripe_events import Disputes
from gateway.ids import new_id
from gateway.operations.commands import Refusal, Rule, Start, refuse_if_busy
from gateway.operations.operation import Operation, OperationKind, silence
from gateway.payments.domain.stripe_params import encode
from gateway.payments.store import payments as payment_store
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass

# Stripe nests it in an object of its own: https://docs.stripe.com/api/disputes/update
APPEAL_FIELD = "appeal_reason_for_filing"


def evidence_params(evidence: Mapping[str, str]) -> dict[str, Any]:
    """For `POST /v1/disputes/{id}`, submitted at once."""
    given: dict[str, Any] = {
        field: text for field, text in evidence.items() if field != APPEAL_FIELD
    }
    if APPEAL_FIELD in evidence:
        given["appeal"] = {"card": {"reason_for_filing": evidence[APPEAL_FIELD]}}
    return {"evidence": given, "submit": True}


ACCEPT_WINDOW = timedelta(days=2)
# Where Stripe names no end, evidence is wanted for so long.
EVIDENCE_WINDOW = timedelta(days=7)


def refusal_of_evidence(dispute: Dispute, now: datetime) -> Refusal | None:
    """Why evidence cannot be sent; Stripe takes it once, and only in time."""
    answered = dispute.submission_count > 0 and dispute.state not in APPEALS
    if dispute.state not in ANSWERABLE or answered:
        return _invalid_state(dispute)
    due = dispute.evidence_due_time
    if due is not None and now >= due:
        return Refusal(
            "EVIDENCE_WINDOW_OVER",
            "the time to send evidence is over",
            {"dispute_id": dispute.id, "evidence_due_time": due.isoformat()},
        )
    return None


def refusal_of_acceptance(dispute: Dispute) -> Refusal | None:
    """Why a dispute cannot be given up: it was answered, or it is decided."""
    return None if dispute.state in ANSWERABLE else _invalid_state(dispute)


def evidence_rule(dispute_id: str, evidence: Mapping[str, str]) -> Rule:
    """Starts sending evidence."""

    async def rule(connection: AsyncConnection, now: datetime) -> Start | Refusal:
        dispute = await _locked(connection, dispute_id)
        refusal = refusal_of_evidence(dispute, now)
        if refusal is not None:
            return refusal
        await refuse_if_busy(connection, dispute_id)
        operation = Operation(
            id=new_id("op", now),
            kind=OperationKind.SUBMIT_EVIDENCE,
            subject_id=dispute.id,
            corridor=dispute.corridor,
            params=encode(evidence_params(evidence)),
            create_time=now,
            next_attempt_time=now,
            deadline=dispute.evidence_due_time or now + EVIDENCE_WINDOW,
        )
        return Start(dispute.id, operation)

    return rule


def acceptance_rule(dispute_id: str) -> Rule:
    """Starts giving a dispute up."""

    async def rule(connection: AsyncConnection, now: datetime) -> Start | Refusal:
        dispute = await _locked(connection, dispute_id)
        refusal = refusal_of_acceptance(dispute)
        if refusal is not None:
            return refusal
        await refuse_if_busy(connection, dispute_id)
        operation = Operation(
            id=new_id("op", now),
            kind=OperationKind.ACCEPT_DISPUTE,
            subject_id=dispute.id,
            corridor=dispute.corridor,
            create_time=now,
            next_attempt_time=now,
            deadline=now + ACCEPT_WINDOW,
        )
        return Start(dispute.id, operation)

    return rule


class DisputeAnswers:
    """Runs operations on disputes."""

    def __init__(
        self, engine: AsyncEngine, stripe_client: StripeClient, disputes: Disputes
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._disputes = disputes

    async def send(self, operation: Operation) -> Outcome:
        """Asks Stripe, with the operation's key and parameters."""
        dispute = await self._dispute(operation)
        evidence = operation.kind is OperationKind.SUBMIT_EVIDENCE
        stripe_client = self._stripe.disputes
        call = stripe_client.update_dispute if evidence else stripe_client.close_dispute
        return await call(
            operation.corridor,
            dispute.stripe_dispute_id,
            json.loads(operation.params),
            operation.idempotency_key,
        )

    async def resolve(self, operation: Operation, now: datetime) -> Outcome:
        """Looks at the dispute: it says whether it was answered or given up."""
        dispute = await self._dispute(operation)
        seen = await self._stripe.records.retrieve_dispute(
            operation.corridor, dispute.stripe_dispute_id
        )
        if not seen.succeeded or seen.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
        state = DisputeState(str(seen.object["status"]).upper())
        if operation.kind is OperationKind.SUBMIT_EVIDENCE:
            answered = seen.object["evidence_details"]["submission_count"] > 0
            happened = answered and state not in ANSWERABLE
        else:
            happened = state in CLOSED
        return seen if happened else silence(operation, now)

    async def write(
        self, connection: AsyncConnection, operation: Operation, outcome: Outcome, now: datetime
    ) -> tuple[Operation, Operation | None]:
        """Takes over the dispute as Stripe answered with it."""
        if outcome.succeeded and outcome.object is not None:
            dispute = await _locked(connection, operation.subject_id)
            payment = await payment_store.get_payment(connection, dispute.payment_id)
            assert payment is not None, "a dispute has its payment"
            look_time = operation.last_send_time or now
            await self._disputes.write(connection, payment, outcome.object, look_time)
        return operation, None

    async def _dispute(self, operation: Operation) -> Dispute:
        async with self._engine.connect() as connection:
            dispute = await store.get(connection, operation.subject_id)
        assert dispute is not None, "an operation has its dispute"
        return dispute


async def _locked(connection: AsyncConnection, dispute_id: str) -> Dispute:
    """The dispute, with its payment locked as whoever writes it has to."""
    found = await store.get(connection, dispute_id)
    if found is None:
        raise dispute_not_found(dispute_id)
    await payment_store.lock_payment(connection, found.payment_id)
    locked = await store.get(connection, dispute_id)
    assert locked is not None, "disputes are never deleted"
    return locked


def _invalid_state(dispute: Dispute) -> Refusal:
    return Refusal(
        "INVALID_DISPUTE_STATE",
        "the dispute's state does not allow this",
        {"dispute_id": dispute.id, "dispute_state": dispute.state},
    )
