"""What requests start on verifications, or why they are refused."""

from datetime import datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.customers import store as customer_store
from gateway.customers.store import ACTIVE
from gateway.ids import RequestMetadata
from gateway.operations.commands import Refusal, Rule, Start, refuse_if_busy
from gateway.operations.operation import OperationKind
from gateway.v1 import verification_service_pb2 as pb
from gateway.verifications import store
from gateway.verifications.domain import (
    State,
    Verification,
    is_countable,
    known_state,
    session_params,
    waits_for_person,
)
from gateway.verifications.errors import invalid_state, verification_not_found
from gateway.verifications.operations import verification_operation


def creation_rule(
    verification: Verification,
    request: pb.CreateVerificationRequest,
    carried: RequestMetadata,
    connected_account_id: str,
) -> Rule:
    """Writes a verification down, and asks for its session."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        if not await store.add(connection, verification):
            # The database had lost it, and an event has brought it back.
            return Start(verification.verification_id)
        customer = await customer_store.find(
            connection, verification.subject_id, verification.corridor
        )
        is_there = customer is not None and customer.state == ACTIVE
        params = session_params(
            verification,
            request,
            carried,
            stripe_customer_id=customer.stripe_customer_id if customer and is_there else "",
            connected_account_id=connected_account_id,
        )
        operation = verification_operation(
            operation_id, OperationKind.CREATE_VERIFICATION, verification, params, now
        )
        return Start(verification.verification_id, operation)

    return rule


def cancellation_rule(verification_id: str) -> Rule:
    """Ends one that waits for its person; one that is canceled already stays so."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        verification = await _locked(connection, verification_id, now)
        if verification.state is State.CANCELED:
            return Start(verification_id)
        if not waits_for_person(verification):
            return Refusal.of(invalid_state(verification))
        kind = OperationKind.CANCEL_VERIFICATION
        return Start(
            verification_id, verification_operation(operation_id, kind, verification, {}, now)
        )

    return rule


def redaction_rule(verification_id: str) -> Rule:
    """Removes what was collected, which Stripe does of what is verified or waits for its person;
    once is enough."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        verification = await _locked(connection, verification_id, now)
        if verification.redaction:
            return Start(verification_id)
        if not (waits_for_person(verification) or is_countable(verification)):
            return Refusal.of(invalid_state(verification))
        kind = OperationKind.REDACT_VERIFICATION
        return Start(
            verification_id, verification_operation(operation_id, kind, verification, {}, now)
        )

    return rule


async def _locked(connection: AsyncConnection, verification_id: str, now: datetime) -> Verification:
    verification = await store.lock(connection, verification_id)
    if verification is None:
        raise verification_not_found(verification_id)
    await refuse_if_busy(connection, verification_id, partial(known_state, verification), now)
    return verification
