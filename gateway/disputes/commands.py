"""Answering disputes: what may be asked of Stripe, and why it is refused."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.disputes.domain import ANSWERABLE, APPEALS, Dispute
from gateway.disputes.errors import dispute_not_found
from gateway.disputes.operations import known_state
from gateway.disputes.store import lock_dispute
from gateway.operations.commands import Refusal, Rule, Start, refuse_if_busy
from gateway.operations.operation import Operation, OperationKind
from gateway.payments.domain.stripe_params import encode

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

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        dispute = await _lock(connection, dispute_id)
        refusal = refusal_of_evidence(dispute, now)
        if refusal is not None:
            return refusal
        await refuse_if_busy(connection, dispute_id, partial(known_state, dispute), now)
        operation = Operation(
            id=operation_id,
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

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        dispute = await _lock(connection, dispute_id)
        refusal = refusal_of_acceptance(dispute)
        if refusal is not None:
            return refusal
        await refuse_if_busy(connection, dispute_id, partial(known_state, dispute), now)
        operation = Operation(
            id=operation_id,
            kind=OperationKind.ACCEPT_DISPUTE,
            subject_id=dispute.id,
            corridor=dispute.corridor,
            create_time=now,
            next_attempt_time=now,
            deadline=now + ACCEPT_WINDOW,
        )
        return Start(dispute.id, operation)

    return rule


async def _lock(connection: AsyncConnection, dispute_id: str) -> Dispute:
    dispute = await lock_dispute(connection, dispute_id)
    if dispute is None:
        raise dispute_not_found(dispute_id)
    return dispute


def _invalid_state(dispute: Dispute) -> Refusal:
    return Refusal(
        "INVALID_DISPUTE_STATE",
        "the dispute's state does not allow this",
        {"dispute_id": dispute.id, "dispute_state": dispute.state},
    )
