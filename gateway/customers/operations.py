"""What operations on customers ask of Stripe, and what comes of it: the customer, and the payment
methods that are saved for it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.customers import store
from gateway.customers.domain import REQUEST_KEY, customer_message, is_gone
from gateway.customers.store import ACTIVE, FAILED, GONE, StoredCustomer
from gateway.operations.kind import Applied, ApplyContext, Kind, PlainKind
from gateway.operations.operation import (
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
    silence,
)
from gateway.operations.outcomes import (
    after_call,
    gone_is_done,
    gone_or_silence,
    search_span,
    what_was_found,
)
from gateway.operations.requests import CUSTOMER_REQUEST, answer
from gateway.payments.domain.stripe_params import encode
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import (
    Failure,
    Outcome,
    OutcomeClass,
    is_missing,
    names_lost_method,
)
from gateway.v1 import customer_pb2
from gateway.v1 import customer_service_pb2 as pb

WINDOW = timedelta(days=1)
# The code of what was refused because the customer, or the payment method, is not there any more.
CUSTOMER_GONE = "CUSTOMER_GONE"
METHOD_GONE = "METHOD_GONE"
_PREFIX = "customer."


def kinds(stripe_client: StripeClient) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on customers."""
    return {
        OperationKind.CREATE_CUSTOMER: CustomerCreation(stripe_client),
        OperationKind.UPDATE_CUSTOMER: CustomerUpdate(stripe_client),
        OperationKind.DELETE_CUSTOMER: CustomerDeletion(stripe_client),
        OperationKind.SAVE_PAYMENT_METHOD: MethodSaving(stripe_client),
        OperationKind.PREFER_PAYMENT_METHOD: MethodPreference(stripe_client),
        OperationKind.DETACH_PAYMENT_METHOD: MethodDetachment(stripe_client),
    }


def customer_operation(
    operation_id: str,
    kind: OperationKind,
    customer: StoredCustomer,
    params: Mapping[str, Any],
    now: datetime,
) -> Operation:
    """A new operation on a customer."""
    return Operation(
        id=operation_id,
        kind=kind,
        subject_id=f"{_PREFIX}{customer.customer_number}",
        corridor=customer.corridor,
        params=encode(dict(params)),
        create_time=now,
        next_attempt_time=now,
        deadline=now + WINDOW,
    )


class _CustomerKind(PlainKind):
    """What the kinds have in common."""

    def __init__(self, stripe_client: StripeClient) -> None:
        self._stripe = stripe_client.customers

    async def load(self, connection: AsyncConnection, operation: Operation) -> StoredCustomer:
        """The customer."""
        return await store.get(connection, _number(operation))

    async def lock(self, connection: AsyncConnection, operation: Operation) -> StoredCustomer:
        """The customer, locked."""
        return await store.get(connection, _number(operation), lock=True)

    async def apply(
        self,
        connection: AsyncConnection,
        customer: StoredCustomer,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """Writes what changed, and the customer as it is then as the answer."""
        after = after_call(operation, reply, context.now, context.jitter)
        if after.failure_code == CUSTOMER_GONE and not after.open:
            customer = await store.change(connection, customer, context.now, **GONE)
        if after.state is OperationState.SUCCEEDED:
            values = self.changes(customer, operation, _object(reply))
            customer = await store.change(connection, customer, context.now, **values)
            message = self.answer(customer, _object(reply))
            await answer(connection, CUSTOMER_REQUEST, operation.id, message)
        return Applied(after, customer)

    async def with_reason(
        self, customer: StoredCustomer, operation: Operation, outcome: Outcome
    ) -> Outcome:
        """The outcome; if it is a refusal because the customer or the payment method is gone, with
        a code that says so. Stripe is asked about the customer, as not every refusal names it."""
        failure = outcome.failure
        if outcome.outcome_class is not OutcomeClass.REJECTED or failure is None:
            return outcome
        if is_missing(outcome):
            seen = await self._stripe.retrieve_customer(
                operation.corridor, customer.stripe_customer_id
            )
            if is_gone(seen):
                return replace(outcome, failure=replace(failure, code=CUSTOMER_GONE))
        if names_lost_method(failure):
            return replace(outcome, failure=replace(failure, code=METHOD_GONE))
        return outcome

    def changes(
        self, _customer: StoredCustomer, _operation: Operation, _made: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What changes here when Stripe has done it."""
        return {}

    def answer(self, customer: StoredCustomer, _made: Mapping[str, Any]) -> Any:
        """What the request is answered with."""
        return customer_message(customer)


class CustomerCreation(_CustomerKind):
    """A new customer."""

    async def send(self, _customer: StoredCustomer, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the customer."""
        return await self._stripe.create_customer(
            operation.corridor, json.loads(operation.params), operation.idempotency_key
        )

    async def resolve(
        self, customer: StoredCustomer, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks for the customer by our number in its metadata."""
        ours = {REQUEST_KEY: customer.create_request_id}
        found = await self._stripe.find_customers(
            operation.corridor, ours, **search_span(operation)
        )
        return what_was_found(operation, found, now)

    def changes(
        self, _customer: StoredCustomer, _operation: Operation, made: Mapping[str, Any]
    ) -> dict[str, Any]:
        """It is there."""
        return {"state": ACTIVE, "stripe_customer_id": str(made["id"])}

    async def apply(
        self,
        connection: AsyncConnection,
        customer: StoredCustomer,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """As for the others; where there is none, the answer says why."""
        applied = await super().apply(connection, customer, operation, reply, context)
        ended = applied.operation
        if ended.open or ended.state is OperationState.SUCCEEDED:
            return applied
        values = {"state": FAILED, "failure_code": ended.failure_code or "rejected"}
        customer = await store.change(connection, customer, context.now, **values)
        await answer(connection, CUSTOMER_REQUEST, operation.id, customer_message(customer))
        return Applied(ended, customer)


class CustomerUpdate(_CustomerKind):
    """What Stripe keeps about a customer."""

    async def send(self, customer: StoredCustomer, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the change."""
        return await self._stripe.update_customer(
            operation.corridor,
            customer.stripe_customer_id,
            json.loads(operation.params),
            operation.idempotency_key,
        )

    async def complete(
        self, customer: StoredCustomer, operation: Operation, outcome: Outcome
    ) -> Outcome:
        """A refusal says what is gone."""
        return await self.with_reason(customer, operation, outcome)

    async def resolve(
        self, customer: StoredCustomer, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks whether the customer is as it was to become."""
        seen = await self._stripe.retrieve_customer(operation.corridor, customer.stripe_customer_id)
        if is_gone(seen):
            return _CUSTOMER_IS_GONE
        if seen.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
        wanted: dict[str, Any] = json.loads(operation.params)
        return seen if _has(seen.object, wanted) else silence(operation, now)


class MethodPreference(CustomerUpdate):
    """The payment method that a customer prefers; at Stripe it is a change of the customer."""

    def changes(
        self, _customer: StoredCustomer, operation: Operation, _made: Mapping[str, Any]
    ) -> dict[str, Any]:
        """It is preferred here, too."""
        settings = json.loads(operation.params)["invoice_settings"]
        return {"default_payment_method": settings["default_payment_method"]}


class CustomerDeletion(_CustomerKind):
    """A customer is deleted; one that Stripe does not have any more is no failure."""

    async def send(self, customer: StoredCustomer, operation: Operation, _resend: bool) -> Outcome:
        """Deletes it. That needs no key: it cannot happen twice."""
        return await self._stripe.delete_customer(operation.corridor, customer.stripe_customer_id)

    async def complete(
        self, _customer: StoredCustomer, _operation: Operation, outcome: Outcome
    ) -> Outcome:
        """What is gone is gone."""
        return gone_is_done(outcome)

    async def resolve(
        self, customer: StoredCustomer, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks whether it is gone: Stripe shows a deleted customer as such."""
        seen = await self._stripe.retrieve_customer(operation.corridor, customer.stripe_customer_id)
        if seen.object is not None and seen.object.get("deleted"):
            return seen
        return gone_or_silence(operation, seen, now)

    def changes(
        self, _customer: StoredCustomer, _operation: Operation, _made: Mapping[str, Any]
    ) -> dict[str, Any]:
        """It is deleted here, too."""
        return dict(GONE)


class MethodSaving(_CustomerKind):
    """A payment method is made ready for charges without the customer, by a SetupIntent. Which one
    is kept; how it stands is read from Stripe."""

    async def send(self, _customer: StoredCustomer, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the SetupIntent."""
        return await self._stripe.create_setup_intent(
            operation.corridor, json.loads(operation.params), operation.idempotency_key
        )

    async def complete(
        self, customer: StoredCustomer, operation: Operation, outcome: Outcome
    ) -> Outcome:
        """A card that is refused is an answer: its SetupIntent says so."""
        declined = outcome.outcome_class is OutcomeClass.DECLINED
        if declined and outcome.failure is not None and outcome.failure.setup_intent is not None:
            return Outcome(OutcomeClass.SUCCEEDED, object=outcome.failure.setup_intent)
        return await self.with_reason(customer, operation, outcome)

    async def resolve(
        self, customer: StoredCustomer, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks for the SetupIntent by the request's id in its metadata."""
        metadata = json.loads(operation.params)["metadata"]
        found = await self._stripe.find_setup_intents(
            operation.corridor,
            customer.stripe_customer_id,
            {REQUEST_KEY: metadata[REQUEST_KEY]},
            **search_span(operation),
        )
        if is_missing(found):
            seen = await self._stripe.retrieve_customer(
                operation.corridor, customer.stripe_customer_id
            )
            if is_gone(seen):
                return _CUSTOMER_IS_GONE
        return what_was_found(operation, found, now)

    def answer(self, _customer: StoredCustomer, made: Mapping[str, Any]) -> Any:
        """Which SetupIntent it is."""
        return customer_pb2.PaymentMethodSetup(id=str(made["id"]))


class MethodDetachment(_CustomerKind):
    """A saved payment method is forgotten."""

    async def send(self, _customer: StoredCustomer, operation: Operation, _resend: bool) -> Outcome:
        """Forgets it."""
        method = json.loads(operation.params)["payment_method"]
        return await self._stripe.detach_payment_method(
            operation.corridor, method, operation.idempotency_key
        )

    async def complete(
        self, _customer: StoredCustomer, _operation: Operation, outcome: Outcome
    ) -> Outcome:
        """What is gone is gone."""
        return gone_is_done(outcome)

    async def resolve(
        self, customer: StoredCustomer, operation: Operation, now: datetime
    ) -> Outcome:
        """Looks whether the customer still has it."""
        method = json.loads(operation.params)["payment_method"]
        seen = await self._stripe.retrieve_payment_method(
            operation.corridor, customer.stripe_customer_id, method
        )
        return gone_or_silence(operation, seen, now)

    def changes(
        self, customer: StoredCustomer, operation: Operation, _made: Mapping[str, Any]
    ) -> dict[str, Any]:
        """It is not preferred any more."""
        method = json.loads(operation.params)["payment_method"]
        return {"default_payment_method": ""} if customer.default_payment_method == method else {}

    def answer(self, _customer: StoredCustomer, _made: Mapping[str, Any]) -> Any:
        """The answer is empty."""
        return pb.DetachPaymentMethodResponse()


_CUSTOMER_IS_GONE = Outcome(OutcomeClass.REJECTED, failure=Failure(code=CUSTOMER_GONE))


def _number(operation: Operation) -> int:
    return int(operation.subject_id.removeprefix(_PREFIX))


def _object(reply: Outcome | GivenUp) -> Mapping[str, Any]:
    assert isinstance(reply, Outcome), "nothing was given up"
    assert reply.object is not None, "it succeeded"
    return reply.object


def _has(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether one of Stripe's objects has all that was asked for; empty metadata is taken away."""
    for name, value in wanted.items():
        there = values.get(name)
        if isinstance(value, Mapping):
            if not _has(there if isinstance(there, Mapping) else {}, value):
                return False
        elif (there or "") != value:
            return False
    return True
