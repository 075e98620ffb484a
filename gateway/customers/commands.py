"""What the RPCs about customers do. Each step is written down before the next one begins."""

from datetime import timedelta

from gateway.customers.domain import CUSTOMER_KEY, create_params, customer_message, customer_params
from gateway.customers.errors import customer_exists, customer_not_found, invalid_customer_state
from gateway.customers.store import ACTIVE, CREATING, CustomerStore, StoredCustomer
from gateway.errors import call_failed, corridor_not_found
from gateway.merchants.requests import RequestBook, StoredRequest
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, is_missing, refused_for_good
from gateway.stripe_client.search import the_one_found
from gateway.v1 import customer_pb2
from gateway.v1 import customer_service_pb2 as pb
from runtime.clock import Clock

# Clocks differ, and Stripe may have acted a while after we wrote the request down.
SEARCH_MARGIN = timedelta(hours=1)
PERSONAL_FIELDS = ("email", "name")


class Customers:
    """Makes, changes and deletes customers. Every method raises `ServiceError`."""

    def __init__(
        self, stripe_client: StripeClient, store: CustomerStore, requests: RequestBook, clock: Clock
    ) -> None:
        self._stripe = stripe_client
        self._store = store
        self._requests = requests
        self._clock = clock

    def corridor(self, name: str) -> str:
        """The corridor of this name; the default one if it is empty."""
        if not name:
            return self._stripe.default_corridor
        if name not in self._stripe.corridors:
            raise corridor_not_found(name)
        return name

    async def stored(self, customer_id: str, corridor: str) -> StoredCustomer:
        """The last customer of a subject in a corridor."""
        corridor = self.corridor(corridor)
        customer = await self._store.find(customer_id, corridor)
        if customer is None:
            raise customer_not_found(customer_id, corridor)
        return customer

    async def active(self, customer_id: str, corridor: str) -> StoredCustomer:
        """The customer, if Stripe has it."""
        customer = await self.stored(customer_id, corridor)
        if customer.state != ACTIVE:
            raise invalid_customer_state(customer)
        return customer

    async def create(self, request: pb.CreateCustomerRequest) -> customer_pb2.Customer:
        """The customer, ACTIVE or FAILED."""
        corridor = self.corridor(request.corridor)
        begun = await self._requests.begin(
            "CreateCustomer",
            request,
            subject_id=request.customer_id,
            personal_fields=PERSONAL_FIELDS,
        )
        if begun.answer is not None:
            return customer_pb2.Customer.FromString(begun.answer)
        customer = await self._store.add(request.customer_id, corridor, request.request_id)
        if customer.create_request_id != request.request_id:
            failure = customer_exists(customer)
            await self._requests.fail(request.request_id, failure)
            raise failure
        if customer.state == CREATING:
            customer = await self._create_at_stripe(request, customer, begun)
        message = customer_message(customer)
        await self._requests.answer(request.request_id, message)
        return message

    async def update(self, request: pb.UpdateCustomerRequest) -> customer_pb2.Customer:
        """The customer, whose details Stripe has."""
        known = await self._requests.find(
            "UpdateCustomer", request, personal_fields=PERSONAL_FIELDS
        )
        if known is not None and known.answer is not None:
            return customer_pb2.Customer.FromString(known.answer)
        customer = await self.active(request.customer_id, request.corridor)
        begun = await self._requests.begin(
            "UpdateCustomer",
            request,
            subject_id=request.customer_id,
            personal_fields=PERSONAL_FIELDS,
        )
        outcome = await self._stripe.customers.update_customer(
            customer.corridor,
            customer.stripe_customer_id,
            customer_params(request),
            begun.idempotency_key,
        )
        if not outcome.succeeded:
            raise call_failed(customer.corridor, outcome)
        message = customer_message(await self._store.touch(customer.customer_number))
        await self._requests.answer(request.request_id, message)
        return message

    async def delete(self, request: pb.DeleteCustomerRequest) -> customer_pb2.Customer:
        """The customer, DELETED; one that Stripe does not have any more is no failure."""
        known = await self._requests.find("DeleteCustomer", request)
        if known is not None and known.answer is not None:
            return customer_pb2.Customer.FromString(known.answer)
        customer = await self.active(request.customer_id, request.corridor)
        await self._requests.begin("DeleteCustomer", request, subject_id=request.customer_id)
        outcome = await self._stripe.customers.delete_customer(
            customer.corridor, customer.stripe_customer_id
        )
        if not outcome.succeeded and not is_missing(outcome):
            raise call_failed(customer.corridor, outcome)
        message = customer_message(await self._store.delete(customer.customer_number))
        await self._requests.answer(request.request_id, message)
        return message

    async def _create_at_stripe(
        self, request: pb.CreateCustomerRequest, customer: StoredCustomer, begun: StoredRequest
    ) -> StoredCustomer:
        if begun.key_is_fresh(self._clock.now()):
            outcome = await self._stripe.customers.create_customer(
                customer.corridor, create_params(request, customer), begun.idempotency_key
            )
        else:
            outcome = await self._find(customer, begun)
        if outcome.succeeded and outcome.object is not None:
            return await self._store.activate(customer.customer_number, str(outcome.object["id"]))
        if refused_for_good(outcome):
            assert outcome.failure is not None
            return await self._store.fail(
                customer.customer_number, outcome.failure.code or "rejected"
            )
        raise call_failed(customer.corridor, outcome)

    async def _find(self, customer: StoredCustomer, begun: StoredRequest) -> Outcome:
        """The customer that an old request made, if it made one. The key is too old to send."""
        outcome = await self._stripe.customers.find_customers(
            customer.corridor,
            {CUSTOMER_KEY: str(customer.customer_number)},
            created_from=begun.create_time - SEARCH_MARGIN,
            created_to=self._clock.now() + SEARCH_MARGIN,
        )
        return the_one_found(outcome)
