"""Saved payment methods: they are at Stripe and read there; here is which requests changed them."""

from collections.abc import Mapping
from typing import Any

from gateway.customers.commands import Customers, answer_of
from gateway.customers.domain import payment_method_message, setup_message, setup_params
from gateway.customers.errors import payment_method_not_found, setup_not_found
from gateway.customers.store import StoredCustomer
from gateway.errors import ERRORS
from gateway.operations.commands import Commands
from gateway.operations.operation import OperationKind
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Outcome, is_missing
from gateway.v1 import customer_pb2
from gateway.v1 import customer_service_pb2 as pb
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
        commands: Commands,
    ) -> None:
        self._stripe = stripe_client
        self._customers = customers
        self._commands = commands
        self._page_tokens = PageTokens(ERRORS)

    async def save(self, request: pb.SavePaymentMethodRequest) -> customer_pb2.PaymentMethodSetup:
        """Makes a payment method ready for charges without the customer, or tells how far it is.

        What is kept is which SetupIntent it is; how it stands, and the secret that the customer
        needs, is read from Stripe each time.
        """
        customer = await self._customers.active(request.customer_id, request.corridor)
        params = setup_params(
            request, customer.stripe_customer_id, self._commands.metadata_of(request)
        )
        done = await self._customers.do(OperationKind.SAVE_PAYMENT_METHOD, request, params)
        if done.outcome is not None and done.outcome.object is not None:
            return setup_message(done.outcome.object, customer)
        kept = customer_pb2.PaymentMethodSetup.FromString(answer_of(request, done))
        return await self._read_setup(customer, kept.id)

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
        params: dict[str, Any] = {"limit": size}
        if position:
            params["starting_after"] = position[0]
        outcome = await self._stripe.customers.list_payment_methods(
            customer.corridor, customer.stripe_customer_id, params
        )
        if is_missing(outcome):
            await self._customers.check_not_gone(customer)
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
        await self._check_whose(request)
        params = {"invoice_settings": {"default_payment_method": request.payment_method_id}}
        done = await self._customers.do(OperationKind.PREFER_PAYMENT_METHOD, request, params)
        return customer_pb2.Customer.FromString(answer_of(request, done))

    async def detach(self, request: pb.DetachPaymentMethodRequest) -> None:
        """Forgets a saved payment method."""
        await self._check_whose(request)
        params = {"payment_method": request.payment_method_id}
        done = await self._customers.do(OperationKind.DETACH_PAYMENT_METHOD, request, params)
        answer_of(request, done)

    async def _check_whose(self, request: Any) -> None:
        """Whose the payment method is, is only asked before the request is written down: afterwards
        an earlier call may have forgotten it already."""
        if await self._commands.find(request) is not None:
            return
        customer = await self._customers.active(request.customer_id, request.corridor)
        outcome = await self._stripe.customers.retrieve_payment_method(
            customer.corridor, customer.stripe_customer_id, request.payment_method_id
        )
        if is_missing(outcome):
            await self._customers.check_not_gone(customer)
            raise payment_method_not_found(customer.customer_id, request.payment_method_id)
        _object_of(customer, outcome)

    async def _read_setup(
        self, customer: StoredCustomer, setup_id: str
    ) -> customer_pb2.PaymentMethodSetup:
        outcome = await self._stripe.customers.retrieve_setup_intent(customer.corridor, setup_id)
        if is_missing(outcome):
            await self._customers.check_not_gone(customer)
            raise setup_not_found(customer, setup_id)
        intent = _object_of(customer, outcome)
        if intent.get("customer") != customer.stripe_customer_id:
            raise setup_not_found(customer, setup_id)
        return setup_message(intent, customer)


def _object_of(customer: StoredCustomer, outcome: Outcome) -> Mapping[str, Any]:
    if outcome.object is None:
        raise call_failed(customer.corridor, outcome)
    return outcome.object
