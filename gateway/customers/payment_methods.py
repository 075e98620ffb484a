"""Saved payment methods: they are at Stripe and read there; here is which requests changed them."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from gateway.customers.commands import SEARCH_MARGIN, Customers
from gateway.customers.domain import (
    REQUEST_KEY,
    customer_message,
    payment_method_message,
    setup_message,
    setup_params,
)
from gateway.customers.errors import payment_method_not_found, setup_not_found
from gateway.customers.store import CustomerStore, StoredCustomer
from gateway.errors import ERRORS, call_failed
from gateway.merchants.requests import RequestBook, StoredRequest
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass, is_missing
from gateway.stripe_client.search import the_one_found
from gateway.v1 import customer_pb2
from gateway.v1 import customer_service_pb2 as pb
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
# Stripe's limit: https://docs.stripe.com/api/pagination
MAX_PAGE_SIZE = 100


class PaymentMethods:
    """Saves, lists, prefers and forgets payment methods. Every method raises `ServiceError`."""

    def __init__(
        self,
        stripe_client: StripeClient,
        customers: Customers,
        store: CustomerStore,
        requests: RequestBook,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client
        self._customers = customers
        self._store = store
        self._requests = requests
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def save(self, request: pb.SavePaymentMethodRequest) -> customer_pb2.PaymentMethodSetup:
        """Makes a payment method ready for charges without the customer, or tells how far it is.

        What is kept is which SetupIntent it is; how it stands, and the secret that the customer
        needs, is read from Stripe each time.
        """
        known = await self._requests.find("SavePaymentMethod", request)
        customer = await self._customers.active(request.customer_id, request.corridor)
        if known is not None and known.answer is not None:
            kept = customer_pb2.PaymentMethodSetup.FromString(known.answer)
            return await self._read_setup(customer, kept.id)
        begun = await self._requests.begin(
            "SavePaymentMethod", request, subject_id=request.customer_id
        )
        intent = await self._set_up(request, customer, begun)
        kept = customer_pb2.PaymentMethodSetup(id=str(intent["id"]))
        await self._requests.answer(request.request_id, kept)
        return setup_message(intent, customer)

    async def setup(
        self, request: pb.GetPaymentMethodSetupRequest
    ) -> customer_pb2.PaymentMethodSetup:
        """How far saving a payment method is."""
        customer = await self._customers.active(request.customer_id, request.corridor)
        return await self._read_setup(customer, request.setup_id)

    async def list(self, request: pb.ListPaymentMethodsRequest) -> pb.ListPaymentMethodsResponse:
        """One page of what a customer has saved."""
        position = self._page_tokens.decode(request)
        customer = await self._customers.active(request.customer_id, request.corridor)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        params: dict[str, Any] = {"type": "card", "limit": size}
        if position:
            params["starting_after"] = position[0]
        outcome = await self._stripe.customers.list_payment_methods(
            customer.corridor, customer.stripe_customer_id, params
        )
        listed = _object_of(customer, outcome)
        response = pb.ListPaymentMethodsResponse(
            payment_methods=[
                payment_method_message(method, customer.default_payment_method)
                for method in listed["data"]
            ]
        )
        if listed["has_more"] and listed["data"]:
            response.next_page_token = self._page_tokens.encode(request, [listed["data"][-1]["id"]])
        return response

    async def set_default(
        self, request: pb.SetDefaultPaymentMethodRequest
    ) -> customer_pb2.Customer:
        """The customer, who prefers one of the saved payment methods."""
        known = await self._requests.find("SetDefaultPaymentMethod", request)
        if known is not None and known.answer is not None:
            return customer_pb2.Customer.FromString(known.answer)
        customer, begun = await self._begin("SetDefaultPaymentMethod", request, known)
        outcome = await self._stripe.customers.update_customer(
            customer.corridor,
            customer.stripe_customer_id,
            {"invoice_settings": {"default_payment_method": request.payment_method_id}},
            begun.idempotency_key,
        )
        if not outcome.succeeded:
            raise call_failed(customer.corridor, outcome)
        customer = await self._store.set_default(
            customer.customer_number, request.payment_method_id
        )
        message = customer_message(customer)
        await self._requests.answer(request.request_id, message)
        return message

    async def detach(self, request: pb.DetachPaymentMethodRequest) -> None:
        """Forgets a saved payment method."""
        known = await self._requests.find("DetachPaymentMethod", request)
        if known is not None and known.answer is not None:
            return
        customer, begun = await self._begin("DetachPaymentMethod", request, known)
        gone = False
        if not begun.key_is_fresh(self._clock.now()):
            gone = is_missing(await self._read_method(customer, request.payment_method_id))
        if not gone:
            outcome = await self._stripe.customers.detach_payment_method(
                customer.corridor, request.payment_method_id, begun.idempotency_key
            )
            if not outcome.succeeded and not is_missing(outcome):
                raise call_failed(customer.corridor, outcome)
        if customer.default_payment_method == request.payment_method_id:
            await self._store.set_default(customer.customer_number, "")
        await self._requests.answer(request.request_id, pb.DetachPaymentMethodResponse())

    async def _begin(
        self, method: str, request: Any, known: StoredRequest | None
    ) -> tuple[StoredCustomer, StoredRequest]:
        """Writes a request about one of the customer's payment methods down.

        Whose it is, is only asked before: afterwards an earlier call may have forgotten it already.
        """
        customer = await self._customers.active(request.customer_id, request.corridor)
        if known is None:
            outcome = await self._read_method(customer, request.payment_method)
            if is_missing(outcome):
                raise payment_method_not_found(customer, request.payment_method)
            _object_of(customer, outcome)
        message: Message = request
        begun = await self._requests.begin(method, message, subject_id=request.customer_id)
        return customer, begun

    async def _set_up(
        self,
        request: pb.SavePaymentMethodRequest,
        customer: StoredCustomer,
        begun: StoredRequest,
    ) -> Mapping[str, Any]:
        if begun.key_is_fresh(self._clock.now()):
            outcome = await self._stripe.customers.create_setup_intent(
                customer.corridor,
                setup_params(request, customer.stripe_customer_id),
                begun.idempotency_key,
            )
        else:
            found = await self._stripe.customers.find_setup_intents(
                customer.corridor,
                customer.stripe_customer_id,
                {REQUEST_KEY: request.request_id},
                created_from=begun.create_time - SEARCH_MARGIN,
                created_to=self._clock.now() + SEARCH_MARGIN,
            )
            outcome = the_one_found(found)
        failure = outcome.failure
        if (
            outcome.outcome_class is OutcomeClass.DECLINED
            and failure is not None
            and failure.setup_intent is not None
        ):
            return failure.setup_intent
        return _object_of(customer, outcome)

    async def _read_setup(
        self, customer: StoredCustomer, setup_id: str
    ) -> customer_pb2.PaymentMethodSetup:
        outcome = await self._stripe.customers.retrieve_setup_intent(customer.corridor, setup_id)
        if is_missing(outcome):
            raise setup_not_found(customer, setup_id)
        intent = _object_of(customer, outcome)
        if intent.get("customer") != customer.stripe_customer_id:
            raise setup_not_found(customer, setup_id)
        return setup_message(intent, customer)

    async def _read_method(self, customer: StoredCustomer, payment_method: str) -> Outcome:
        return await self._stripe.customers.retrieve_payment_method(
            customer.corridor, customer.stripe_customer_id, payment_method
        )


def _object_of(customer: StoredCustomer, outcome: Outcome) -> Mapping[str, Any]:
    if outcome.object is None:
        raise call_failed(customer.corridor, outcome)
    return outcome.object
