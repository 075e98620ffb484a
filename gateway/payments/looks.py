"""Looking at payments that a bank decides about for hours or days, for the event that was lost.

Nothing is under way meanwhile: neither operation nor lease. When the next look is due is in the
payment's row, put off before Stripe is asked, so that any process goes on where another died.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.operations.gate import Gate
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.domain.processing import SHORTEST_PAUSE, next_look_time
from gateway.payments.domain.stripe_params import EXPAND_CAPTURE
from gateway.payments.store import payments as store
from gateway.stripe_client.call import background
from gateway.stripe_client.client import StripeClient
from runtime.items import Items

LOOKS = Counter(
    "gateway_processing_looks_total",
    "Looks at PaymentIntents that are processing, by whether Stripe answered.",
    ["result"],
)


class ProcessingTaker(Protocol):
    """Takes over what Stripe shows; `PaymentEvents`."""

    async def take_processing(self, payment_id: str, intent: Mapping[str, Any]) -> None: ...


class ProcessingLooks:
    """Looks at one payment after the other, at no more than one each `SHORTEST_PAUSE`."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        events: ProcessingTaker,
        context: Callable[[], DecisionContext],
        gate: Gate,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._events = events
        self._context = context
        self._gate = gate
        self._items = Items("payments to look at")
        self._not_before: datetime | None = None

    async def round(self) -> bool:
        """Looks at the payment that has been due for longest; never more at once."""
        context = self._context()
        early = self._not_before is not None and context.now < self._not_before
        if self._gate.closed or early:
            return False
        async with self._engine.begin() as connection:
            payment = await store.lock_payment_to_look_at(connection, context.now)
            if payment is None:
                return False
            due = next_look_time(payment.update_time, context.now, context.jitter)
            await store.set_next_look(connection, payment.id, due)
        self._not_before = context.now + SHORTEST_PAUSE
        with self._items.kept_apart(payment.id), background():
            seen = await self._stripe.retrieve_payment_intent(
                payment.corridor, payment.payment_intent_id, {"expand": EXPAND_CAPTURE}
            )
            LOOKS.labels("answered" if seen.object is not None else "failed").inc()
            if seen.object is not None:
                await self._events.take_processing(payment.id, seen.object)
            else:
                # It counts as not looked at, but is not asked for at once again.
                soon = next_look_time(context.now, context.now, context.jitter)
                async with self._engine.begin() as connection:
                    await store.set_next_look(connection, payment.id, min(due, soon))
        return False
