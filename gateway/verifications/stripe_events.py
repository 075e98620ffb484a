"""Taking over what Stripe says of a session: events are hints, and the session is read again.

One that carries a request of ours which is not known was lost with the database's last commits. It
comes back with that request, by the next event about it: nothing is begun twice for it, and no
money was moved, so that nothing has to wait for a person.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.identity import RequestIdentity
from gateway.ids import RequestMetadata
from gateway.operations import store as operation_store
from gateway.operations.gate import Gate
from gateway.operations.requests import VERIFICATION_REQUEST, remember_carried
from gateway.stripe_client.client import StripeClient
from gateway.stripe_times import made_time
from gateway.verifications import store
from gateway.verifications.domain import (
    SUBJECT_KEY,
    VERIFICATION_KEY,
    State,
    UnreadableSessionError,
    Verification,
    as_stripe_says,
    lost_verification,
)
from gateway.webhooks_in.event import (
    EventHandler,
    OutsideUnavailable,
    PoisonEventError,
    StripeEvent,
    object_of,
)
from gateway.webhooks_in.router import of_the_platform
from runtime.clock import Clock

CREATED_BY = "CreateVerificationRequest"
_EVENTS = "identity.verification_session"
_VERIFIED = f"{_EVENTS}.verified"


class Verifications:
    """The handler of events about sessions, and what else learns of them goes through it."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        identity: RequestIdentity,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._store = store.VerificationStore(engine)
        self._stripe = stripe_client.identity
        self._identity = identity
        self._gate = gate
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with: sessions are all the platform's."""
        return of_the_platform({f"{_EVENTS}.*": self.apply})

    async def apply(self, event: StripeEvent) -> None:
        """Looks at the session, if it is of a verification of ours.

        In a restored database nothing is numbered before its epoch has begun.
        """
        if self._gate.closed:
            raise OutsideUnavailable("DATABASE_BEHIND")
        known = await self._store.of_session(event.corridor, event.object_id)
        # A thin event has no object: what it is about says whose it is.
        is_thin = "object" not in event.object
        if known is None and not is_thin and self._carried(event.object) is None:
            return
        look_time = self._clock.now()
        session = object_of(await self._stripe.retrieve_session(event.corridor, event.object_id))
        is_verified = event.event_type.removeprefix("v1.") == _VERIFIED
        told_time = event.created_time if is_verified else None
        try:
            await self.take(event.corridor, session, look_time, told_time)
        except UnreadableSessionError as error:
            raise PoisonEventError("SESSION_UNREADABLE") from error

    async def take(
        self,
        corridor: str,
        session: Mapping[str, Any],
        look_time: datetime,
        told_time: datetime | None = None,
    ) -> Verification | None:
        """The verification as it is after a look at its session; None if it is none of ours.

        Raises UnreadableSessionError.
        """
        now = self._clock.now()
        async with self._engine.begin() as connection:
            before = await self._lock(connection, corridor, session, now)
            if before is None:
                return None
            return await self.write(connection, before, session, look_time, told_time)

    async def write(
        self,
        connection: AsyncConnection,
        before: Verification,
        session: Mapping[str, Any],
        look_time: datetime,
        told_time: datetime | None = None,
    ) -> Verification:
        """Writes what Stripe says of a verification that the caller has locked."""
        now = self._clock.now()
        after = as_stripe_says(before, session, look_time, now, told_time)
        after = await store.save(connection, before, after)
        if after.state is not before.state or after.redaction is not before.redaction:
            await operation_store.hurry(connection, after.verification_id, now)
        return after

    async def fail(
        self, connection: AsyncConnection, before: Verification, code: str
    ) -> Verification:
        """Writes that Stripe refused to make the session of one that the caller has locked."""
        now = self._clock.now()
        after = replace(before, state=State.FAILED, failure_code=code, update_time=now)
        return await store.save(connection, before, after)

    async def _lock(
        self,
        connection: AsyncConnection,
        corridor: str,
        session: Mapping[str, Any],
        now: datetime,
    ) -> Verification | None:
        """Our row of it: by Stripe's id, before our own commit has brought that by ours, and else
        one that was lost."""
        session_id = str(session["id"])
        known = await store.lock_of_session(connection, corridor, session_id)
        if known is not None:
            return known
        carried = self._carried(session)
        if carried is None:
            return None
        lost = lost_verification(session, corridor, carried, now)
        if await store.add(connection, lost):
            await remember_carried(
                connection,
                VERIFICATION_REQUEST,
                carried,
                CREATED_BY,
                lost.verification_id,
                None,
                made_time(session) or now,
            )
        named = await store.lock(connection, lost.verification_id)
        # Metadata can be copied: only the session of a verification that has no other is meant.
        fits = named is not None and named.corridor == corridor and not named.stripe_session_id
        return named if fits else None

    def _carried(self, session: Mapping[str, Any]) -> RequestMetadata | None:
        """The request that a session was made for, if this deployment has made it, which its
        verification's id proves: metadata can be copied."""
        metadata: Mapping[str, str] = session.get("metadata") or {}
        carried = RequestMetadata.read_whole(metadata)
        if carried is None or carried.deployment != self._identity.deployment:
            return None
        ours = self._identity.named("vfn", CREATED_BY, carried.request_id)
        is_named = metadata.get(VERIFICATION_KEY) == ours and metadata.get(SUBJECT_KEY)
        return carried if is_named else None
