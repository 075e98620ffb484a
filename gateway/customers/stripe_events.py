"""Events about customers and what they saved: what is gone at Stripe is gone here.

Customers are deleted and payment methods detached in Stripe's dashboard, too, or by others who have
a key. An event is a hint: Stripe is asked whether it has the customer, or the method, still.

What is ours at Stripe and not known here was lost with the database's last commits: its event waits
until it is recovered.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.customers import store
from gateway.customers.domain import REQUEST_KEY, is_gone
from gateway.customers.store import ACTIVE, CREATING, GONE, StoredCustomer
from gateway.operations.lost import LostRequests
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, is_missing
from gateway.webhooks_in.event import (
    EventHandler,
    OutsideUnavailable,
    RetryEventLater,
    StripeEvent,
    object_of,
)
from gateway.webhooks_in.router import of_the_platform
from runtime.clock import Clock


class CustomerEvents:
    """The handler of events about customers, and what else learns that one is gone goes through
    it."""

    def __init__(
        self, engine: AsyncEngine, stripe_client: StripeClient, lost: LostRequests, clock: Clock
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client.customers
        self._lost = lost
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with: the engine's customers are all the
        platform's."""
        return of_the_platform(
            {
                "customer.created": self.apply_seen,
                "customer.updated": self.apply_seen,
                "customer.deleted": self.apply_deleted,
                "setup_intent.*": self.apply_setup,
                "payment_method.detached": self.apply_detached,
            }
        )

    async def apply_seen(self, event: StripeEvent) -> None:
        """Looks whether the customer is one that the database has lost."""
        if not await self._lost.may_be(event.object):
            return
        seen = await self._stripe.retrieve_customer(event.corridor, event.object_id)
        if not is_gone(seen):
            # One that is deleted at Stripe cannot be recovered, and need not be.
            await self._wait_if_lost(object_of(seen))

    async def apply_setup(self, event: StripeEvent) -> None:
        """Looks whether the SetupIntent is one that the database has lost: how the others stand is
        read whenever it is wanted."""
        if not await self._lost.may_be(event.object):
            return
        seen = await self._stripe.retrieve_setup_intent(event.corridor, event.object_id)
        await self._wait_if_lost(object_of(seen))

    async def apply_deleted(self, event: StripeEvent) -> None:
        """Looks whether the customer is gone."""
        async with self._engine.connect() as connection:
            customer = await store.of_stripe(connection, event.corridor, event.object_id)
            request_id = str((event.object.get("metadata") or {}).get(REQUEST_KEY) or "")
            if customer is None and request_id:
                asked = await store.created_by(connection, request_id)
                if asked is not None and (asked.corridor, asked.state) == (
                    event.corridor,
                    CREATING,
                ):
                    # Our own commit has not brought Stripe's id yet.
                    raise RetryEventLater("CUSTOMER_NOT_CREATED_YET")
        if customer is None or customer.state != ACTIVE:
            return
        seen = await self._look(customer)
        if is_gone(seen):
            await self._delete(customer)
        else:
            object_of(seen)

    async def apply_detached(self, event: StripeEvent) -> None:
        """Looks whether whoever prefers the payment method still has it."""
        async with self._engine.connect() as connection:
            customer = await store.preferring(connection, event.corridor, event.object_id)
        if customer is None:
            # What customers have saved is read from Stripe whenever it is wanted.
            return
        seen = await self._stripe.retrieve_payment_method(
            customer.corridor, customer.stripe_customer_id, event.object_id
        )
        if not is_missing(seen):
            object_of(seen)
            return
        now = self._clock.now()
        async with self._engine.begin() as connection:
            customer = await store.get(connection, customer.customer_number, lock=True)
            if customer.default_payment_method == event.object_id:
                await store.change(connection, customer, now, default_payment_method="")

    async def if_gone(self, customer: StoredCustomer) -> StoredCustomer | None:
        """The customer as it is kept from now on, if Stripe does not have it any more; None if it
        has, or does not say."""
        return await self._delete(customer) if is_gone(await self._look(customer)) else None

    async def _wait_if_lost(self, made: Mapping[str, Any]) -> None:
        if await self._lost.has_lost(made):
            await self._lost.tell(made)
            raise OutsideUnavailable("CUSTOMER_LOST")

    async def _look(self, customer: StoredCustomer) -> Outcome:
        return await self._stripe.retrieve_customer(customer.corridor, customer.stripe_customer_id)

    async def _delete(self, customer: StoredCustomer) -> StoredCustomer:
        now = self._clock.now()
        async with self._engine.begin() as connection:
            customer = await store.get(connection, customer.customer_number, lock=True)
            if customer.state == ACTIVE:
                customer = await store.change(connection, customer, now, **GONE)
        return customer
