"""The calls to Stripe Identity; conventions as in `StripeClient`.

`verified_outputs` is never expanded: who somebody is stays at Stripe.
"""

from datetime import datetime

from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome
from gateway.stripe_client.search import find

IDENTITY = "identity"


class IdentityCalls:
    """VerificationSessions of the platform's own account.

    A person waits for a session and its link; the rest goes before payments do when calls are shed.
    """

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def create_session(self, corridor: str, params: Params, idempotency_key: str) -> Outcome:
        """Creates a session."""
        return await self._calls.post(
            IDENTITY,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.identity.verification_sessions.create_async(
                form(params), options
            ),
            begins=True,
        )

    async def retrieve_session(
        self, corridor: str, session_id: str, *, priority: Priority | None = None
    ) -> Outcome:
        """Reads a session; one that waits for input has a link that was not used yet."""
        return await self._calls.get(
            IDENTITY,
            corridor,
            lambda client, options: client.v1.identity.verification_sessions.retrieve_async(
                session_id, None, options
            ),
            priority=priority,
        )

    async def list_sessions(self, corridor: str, params: Params) -> Outcome:
        """One page of sessions, newest first."""
        return await self._calls.get(
            IDENTITY,
            corridor,
            lambda client, options: client.v1.identity.verification_sessions.list_async(
                form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def find_sessions(
        self, corridor: str, reference: str, *, created_from: datetime, created_to: datetime
    ) -> Outcome:
        """The sessions created in a span of time with this `client_reference_id`; answers as
        `StripeClient.find_payment_intents` does."""

        async def page(params: Params) -> Outcome:
            return await self.list_sessions(corridor, {**params, "client_reference_id": reference})

        return await find(page, lambda _session: True, created_from, created_to)

    async def cancel_session(self, corridor: str, session_id: str, idempotency_key: str) -> Outcome:
        """Ends a session that waits for input."""
        return await self._calls.post(
            IDENTITY,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.identity.verification_sessions.cancel_async(
                session_id, None, options
            ),
            priority=Priority.BACKGROUND,
        )

    async def redact_session(self, corridor: str, session_id: str, idempotency_key: str) -> Outcome:
        """Has Stripe remove what it has collected."""
        return await self._calls.post(
            IDENTITY,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.identity.verification_sessions.redact_async(
                session_id, None, options
            ),
            priority=Priority.BACKGROUND,
        )
