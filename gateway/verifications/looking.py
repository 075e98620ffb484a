"""The safety net below the events: what is not decided is looked at now and then.

What is verified is not: that it was redacted in Stripe's dashboard an event tells, or the recovery
of events that no webhook has brought.
"""

from datetime import timedelta

from gateway.operations.gate import Gate
from gateway.stripe_client.call import Priority
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import OutcomeClass
from gateway.verifications.domain import UnreadableSessionError, Verification
from gateway.verifications.store import VerificationStore
from gateway.verifications.stripe_events import Verifications
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop

POLL_SECONDS = 30.0
MAX_LOOKS = 20
# Until one is looked at again whose session Stripe did not show: for a moment, or at all.
AWAY, WITHHELD = timedelta(minutes=1), timedelta(days=1)

log = get_logger(__name__)


class VerificationLooking:
    """Looks at what is due."""

    def __init__(
        self,
        stripe_client: StripeClient,
        store: VerificationStore,
        verifications: Verifications,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client.identity
        self._store = store
        self._verifications = verifications
        self._gate = gate
        self._clock = clock

    def loop(self) -> Loop:
        """One process of all does it."""
        return Loop("verification looks", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks at some of those that are due; whether there may be more."""
        if self._gate.closed:
            return False
        due = await self._store.due(self._clock.now(), MAX_LOOKS)
        for verification in due:
            await self._look(verification)
        return len(due) == MAX_LOOKS

    async def _look(self, verification: Verification) -> None:
        look_time = self._clock.now()
        seen = await self._stripe.retrieve_session(
            verification.corridor, verification.stripe_session_id, priority=Priority.BACKGROUND
        )
        try:
            if seen.succeeded and seen.object is not None:
                await self._verifications.take(verification.corridor, seen.object, look_time)
                return
            is_away = seen.outcome_class in (OutcomeClass.NOT_SENT, OutcomeClass.UNKNOWN)
        except UnreadableSessionError:
            is_away = False
        if not is_away:
            log.warning("session_withheld", verification_id=verification.verification_id)
        pause = AWAY if is_away else WITHHELD
        await self._store.put_off(verification.verification_id, look_time + pause)
