"""The calls to Stripe about customers and what they saved; conventions as in `StripeClient`."""

from collections.abc import Mapping
from datetime import datetime

from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome
from gateway.stripe_client.search import find_by_metadata

CUSTOMERS, SETUP_INTENTS = "customers", "setup_intents"


class CustomerCalls:
    """Customers, SetupIntents and payment methods.

    Only a SetupIntent is confirmed with the customer there; the rest goes before payments do when
    calls are shed.
    """

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def create_customer(self, corridor: str, params: Params, idempotency_key: str) -> Outcome:
        """Creates a customer."""
        return await self._calls.post(
            CUSTOMERS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.customers.create_async(form(params), options),
            begins=True,
            priority=Priority.BACKGROUND,
        )

    async def update_customer(
        self, corridor: str, stripe_customer_id: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Changes what describes a customer, and the default payment method."""
        return await self._calls.post(
            CUSTOMERS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.customers.update_async(
                stripe_customer_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def retrieve_customer(self, corridor: str, stripe_customer_id: str) -> Outcome:
        """One customer; a deleted one says so."""
        return await self._calls.get(
            CUSTOMERS,
            corridor,
            lambda client, options: client.v1.customers.retrieve_async(
                stripe_customer_id, None, options
            ),
        )

    async def delete_customer(self, corridor: str, stripe_customer_id: str) -> Outcome:
        """Deletes a customer. A DELETE is idempotent by itself and takes no key."""
        return await self._calls.delete(
            CUSTOMERS,
            corridor,
            lambda client, options: client.v1.customers.delete_async(
                stripe_customer_id, None, options
            ),
        )

    async def list_customers(self, corridor: str, params: Params) -> Outcome:
        """One page of customers, newest first."""
        return await self._calls.get(
            CUSTOMERS,
            corridor,
            lambda client, options: client.v1.customers.list_async(form(params), options),
            priority=Priority.BACKGROUND,
        )

    async def list_setup_intents(self, corridor: str, params: Params) -> Outcome:
        """One page of SetupIntents, newest first."""
        return await self._calls.get(
            SETUP_INTENTS,
            corridor,
            lambda client, options: client.v1.setup_intents.list_async(form(params), options),
        )

    async def find_customers(
        self,
        corridor: str,
        metadata: Mapping[str, str],
        *,
        created_from: datetime,
        created_to: datetime,
    ) -> Outcome:
        """The customers created in a span of time that carry all of `metadata`; answers as
        `StripeClient.find_payment_intents` does."""

        async def page(params: Params) -> Outcome:
            return await self.list_customers(corridor, params)

        return await find_by_metadata(page, metadata, created_from, created_to)

    async def create_setup_intent(
        self, corridor: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Creates and confirms a SetupIntent; the customer waits."""
        return await self._calls.post(
            SETUP_INTENTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.setup_intents.create_async(form(params), options),
            begins=True,
        )

    async def retrieve_setup_intent(self, corridor: str, setup_intent_id: str) -> Outcome:
        """Reads a SetupIntent."""
        return await self._calls.get(
            SETUP_INTENTS,
            corridor,
            lambda client, options: client.v1.setup_intents.retrieve_async(
                setup_intent_id, None, options
            ),
        )

    async def find_setup_intents(
        self,
        corridor: str,
        stripe_customer_id: str,
        metadata: Mapping[str, str],
        *,
        created_from: datetime,
        created_to: datetime,
    ) -> Outcome:
        """A customer's SetupIntents created in a span of time that carry all of `metadata`."""

        async def page(params: Params) -> Outcome:
            return await self.list_setup_intents(
                corridor, {**params, "customer": stripe_customer_id}
            )

        return await find_by_metadata(page, metadata, created_from, created_to)

    async def list_payment_methods(
        self, corridor: str, stripe_customer_id: str, params: Params
    ) -> Outcome:
        """One page of a customer's payment methods, newest first."""
        return await self._calls.get(
            CUSTOMERS,
            corridor,
            lambda client, options: client.v1.customers.payment_methods.list_async(
                stripe_customer_id, form(params), options
            ),
        )

    async def retrieve_payment_method(
        self, corridor: str, stripe_customer_id: str, payment_method: str
    ) -> Outcome:
        """Reads a payment method, if it is the customer's."""
        return await self._calls.get(
            CUSTOMERS,
            corridor,
            lambda client, options: client.v1.customers.payment_methods.retrieve_async(
                stripe_customer_id, payment_method, None, options
            ),
        )

    async def detach_payment_method(
        self, corridor: str, payment_method: str, idempotency_key: str
    ) -> Outcome:
        """Forgets a payment method of its customer, for good."""
        return await self._calls.post(
            CUSTOMERS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payment_methods.detach_async(
                payment_method, None, options
            ),
            priority=Priority.BACKGROUND,
        )
