"""What the RPCs about customers do. Each step is written down before the next one begins."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.customers import store
from gateway.customers.domain import create_params, customer_params
from gateway.customers.errors import (
    customer_exists,
    customer_is_gone,
    customer_not_found,
    invalid_customer_state,
    payment_method_not_found,
)
from gateway.customers.operations import CUSTOMER_GONE, METHOD_GONE, customer_operation
from gateway.customers.store import ACTIVE, CREATING, CustomerStore, StoredCustomer
from gateway.customers.stripe_events import CustomerEvents
from gateway.errors import corridor_not_found
from gateway.ids import RequestMetadata
from gateway.operations.commands import Commands, Done, Refusal, Rule, Start, outcome_of
from gateway.operations.operation import OperationKind
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.v1 import customer_pb2
from gateway.v1 import customer_service_pb2 as pb

PERSONAL_FIELDS = ("email", "name")


class Customers:
    """Makes, changes and deletes customers. Every method raises `ServiceError`."""

    def __init__(
        self,
        stripe_client: StripeClient,
        customers: CustomerStore,
        commands: Commands,
        events: CustomerEvents,
    ) -> None:
        self._stripe = stripe_client
        self._events = events
        self._customers = customers
        self._commands = commands

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
        customer = await self._customers.find(customer_id, corridor)
        if customer is None:
            raise customer_not_found(customer_id, corridor)
        return customer

    async def active(self, customer_id: str, corridor: str) -> StoredCustomer:
        """The customer, if Stripe has it."""
        customer = await self.stored(customer_id, corridor)
        if customer.state != ACTIVE:
            raise invalid_customer_state(customer)
        return customer

    async def check_not_gone(self, customer: StoredCustomer) -> None:
        """Raises INVALID_CUSTOMER_STATE if Stripe does not have the customer any more: something
        of it was missing there."""
        gone = await self._events.if_gone(customer)
        if gone is not None:
            raise invalid_customer_state(gone)

    async def create(self, request: pb.CreateCustomerRequest) -> customer_pb2.Customer:
        """The customer, ACTIVE or FAILED."""
        rule = _creation_rule(
            request, self.corridor(request.corridor), self._commands.metadata_of(request)
        )
        done = await self._commands.try_once(
            request, request.customer_id, rule, personal=PERSONAL_FIELDS
        )
        return customer_pb2.Customer.FromString(answer_of(request, done))

    async def update(self, request: pb.UpdateCustomerRequest) -> customer_pb2.Customer:
        """The customer, whose details Stripe has."""
        done = await self.do(
            OperationKind.UPDATE_CUSTOMER,
            request,
            customer_params(request),
            personal=PERSONAL_FIELDS,
        )
        return customer_pb2.Customer.FromString(answer_of(request, done))

    async def delete(self, request: pb.DeleteCustomerRequest) -> customer_pb2.Customer:
        """The customer, DELETED; one that Stripe does not have any more is no failure."""
        done = await self.do(OperationKind.DELETE_CUSTOMER, request, {})
        return customer_pb2.Customer.FromString(answer_of(request, done))

    async def do(
        self,
        kind: OperationKind,
        request: Any,
        params: Mapping[str, Any],
        *,
        personal: tuple[str, ...] = (),
    ) -> Done:
        """Asks for something about a customer that Stripe has."""
        corridor = self.corridor(request.corridor)
        customer_id = str(request.customer_id)

        async def rule(
            connection: AsyncConnection, operation_id: str, now: datetime
        ) -> Start | Refusal:
            customer = await store.find(connection, customer_id, corridor)
            if customer is None:
                raise customer_not_found(customer_id, corridor)
            if customer.state != ACTIVE:
                raise invalid_customer_state(customer)
            return Start(customer_id, customer_operation(operation_id, kind, customer, params, now))

        message: Message = request
        return await self._commands.try_once(message, customer_id, rule, personal=personal)


def answer_of(request: Any, done: Done) -> bytes:
    """What the request is answered with. Raises what it is told that has no answer yet."""
    if done.answer is None:
        _check_what_is_gone(request, done)
        outcome_of(done)
        corridor = done.operation.corridor if done.operation is not None else ""
        raise call_failed(corridor, Outcome(OutcomeClass.UNKNOWN))
    return done.answer


def _check_what_is_gone(request: Any, done: Done) -> None:
    operation = done.operation
    if operation is None or operation.open:
        return
    if operation.failure_code == CUSTOMER_GONE:
        raise customer_is_gone(request.customer_id, operation.corridor)
    if operation.failure_code == METHOD_GONE:
        raise payment_method_not_found(request.customer_id, request.payment_method_id)


def _creation_rule(
    request: pb.CreateCustomerRequest, corridor: str, carried: RequestMetadata
) -> Rule:
    """Adds the customer, and asks Stripe for it."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        customer = await store.add(
            connection, request.customer_id, corridor, request.request_id, now
        )
        if customer.create_request_id != request.request_id:
            return Refusal.of(customer_exists(customer))
        assert customer.state == CREATING, "its request is new, and so is the customer"
        params = create_params(request, carried)
        operation = customer_operation(
            operation_id, OperationKind.CREATE_CUSTOMER, customer, params, now
        )
        return Start(request.customer_id, operation)

    return rule
