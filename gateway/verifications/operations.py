"""What operations on verifications ask of Stripe, and what comes of it."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations.kind import Applied, ApplyContext, Kind, PlainKind
from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
    silence,
)
from gateway.operations.outcomes import after_call, search_span, what_was_found
from gateway.payments.domain.stripe_params import encode
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.verifications import store
from gateway.verifications.domain import Verification, known_state
from gateway.verifications.stripe_events import Verifications

WINDOW = timedelta(days=1)


def kinds(
    stripe_client: StripeClient, verifications: Verifications
) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on verifications."""
    ending = SessionEnding(stripe_client, verifications)
    return {
        OperationKind.CREATE_VERIFICATION: SessionCreation(stripe_client, verifications),
        OperationKind.CANCEL_VERIFICATION: ending,
        OperationKind.REDACT_VERIFICATION: ending,
    }


def verification_operation(
    operation_id: str,
    kind: OperationKind,
    verification: Verification,
    params: Mapping[str, Any],
    now: datetime,
) -> Operation:
    """A new operation on a verification."""
    return Operation(
        id=operation_id,
        kind=kind,
        subject_id=verification.verification_id,
        corridor=verification.corridor,
        params=encode(dict(params)),
        create_time=now,
        next_attempt_time=now,
        deadline=now + WINDOW,
    )


class _VerificationKind(PlainKind):
    """What the kinds have in common."""

    def __init__(self, stripe_client: StripeClient, verifications: Verifications) -> None:
        self._stripe = stripe_client.identity
        self._verifications = verifications

    async def load(self, connection: AsyncConnection, operation: Operation) -> Verification:
        """The verification."""
        verification = await store.find(connection, operation.subject_id)
        assert verification is not None, "an operation has its verification"
        return verification

    async def lock(self, connection: AsyncConnection, operation: Operation) -> Verification:
        """The verification, locked."""
        verification = await store.lock(connection, operation.subject_id)
        assert verification is not None, "an operation has its verification"
        return verification

    def known(self, verification: Verification, operation: Operation) -> OperationState | None:
        """Whether the verification says how it ended."""
        return known_state(verification, operation)

    async def apply(
        self,
        connection: AsyncConnection,
        verification: Verification,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The verification as Stripe answered with it."""
        after = after_call(operation, reply, context.now, context.jitter)
        if after.state is OperationState.SUCCEEDED:
            assert isinstance(reply, Outcome), "nothing was given up"
            assert reply.object is not None, "it succeeded"
            # An answer that Stripe repeats is from when it was first given.
            look_time = operation.first_send_time or context.now
            verification = await self._verifications.write(
                connection, verification, reply.object, look_time
            )
        elif not after.open:
            verification = await self._refused(connection, verification, after)
        return Applied(after, verification)

    async def _refused(
        self, _connection: AsyncConnection, verification: Verification, _after: Operation
    ) -> Verification:
        """What a refusal changes."""
        return verification


class SessionCreation(_VerificationKind):
    """A new session. Its link is a secret and not kept: whoever wants it asks for it."""

    async def send(
        self, _verification: Verification, operation: Operation, _resend: bool
    ) -> Outcome:
        """Asks for the session."""
        return await self._stripe.create_session(
            operation.corridor, json.loads(operation.params), operation.idempotency_key
        )

    async def resolve(
        self, verification: Verification, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks for the session by our id, which it has as its reference."""
        found = await self._stripe.find_sessions(
            operation.corridor, verification.verification_id, **search_span(operation)
        )
        return what_was_found(operation, found, now)

    async def _refused(
        self, connection: AsyncConnection, verification: Verification, after: Operation
    ) -> Verification:
        """There is no session."""
        code = after.failure_code or "rejected"
        return await self._verifications.fail(connection, verification, code)


class SessionEnding(_VerificationKind):
    """A session is canceled, or what it has collected removed."""

    async def send(
        self, verification: Verification, operation: Operation, _resend: bool
    ) -> Outcome:
        """Asks for it."""
        is_redaction = operation.kind is OperationKind.REDACT_VERIFICATION
        call = self._stripe.redact_session if is_redaction else self._stripe.cancel_session
        return await call(
            operation.corridor, verification.stripe_session_id, operation.idempotency_key
        )

    async def resolve(
        self, verification: Verification, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks whether the session says that it has happened."""
        seen = await self._stripe.retrieve_session(
            operation.corridor, verification.stripe_session_id
        )
        if not seen.succeeded or seen.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
        is_redaction = operation.kind is OperationKind.REDACT_VERIFICATION
        has_happened = (
            bool(seen.object.get("redaction"))
            if is_redaction
            else seen.object["status"] == "canceled"
        )
        return seen if has_happened else silence(operation, now)
