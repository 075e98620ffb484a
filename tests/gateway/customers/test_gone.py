"""Customers and payment methods that somebody else removed at Stripe, and the way back."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.customers import store
from gateway.customers.stripe_events import CustomerEvents
from gateway.operations.lost import LostRequests
from gateway.operations.requests import CUSTOMER_REQUEST
from gateway.stripe_client.corridors import single_corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1 import customer_service_pb2 as pb
from gateway.v1.customer_pb2 import Customer, CustomerState
from gateway.webhooks_in.event import OutsideUnavailable, RetryEventLater, StripeEvent, read_event
from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer, save
from tests.gateway.running import OpenGate, RunningGateway, refusal_of, running_gateway
from tests.gateway.webhooks_in.conftest import event_body
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

S = CustomerState
ADA: dict[str, Any] = {"customer_id": "ada"}
Request = Callable[[str, str], Any]
# Whatever is asked of a customer, by request_id and payment method.
REQUESTS: dict[str, Request] = {
    "UpdateCustomer": lambda request_id, _: pb.UpdateCustomerRequest(
        request_id=request_id, name="Ada", **ADA
    ),
    "SavePaymentMethod": lambda request_id, _: pb.SavePaymentMethodRequest(
        request_id=request_id, payment_method_id="pm_card_visa", **ADA
    ),
    "SetDefaultPaymentMethod": lambda request_id, method: pb.SetDefaultPaymentMethodRequest(
        request_id=request_id, payment_method_id=method, **ADA
    ),
    "DetachPaymentMethod": lambda request_id, method: pb.DetachPaymentMethodRequest(
        request_id=request_id, payment_method_id=method, **ADA
    ),
    "ListPaymentMethods": lambda _, __: pb.ListPaymentMethodsRequest(**ADA),
}


@pytest.fixture
async def dashboard(twin: Twin) -> AsyncIterator[Shop]:
    """Somebody who uses Stripe besides the engine."""
    async with open_shop(twin, twin.account().secret_key) as opened:
        yield opened


@pytest.fixture
async def deaf(database_url: str, twin: Twin) -> AsyncIterator[RunningGateway]:
    """A gateway that no webhook reaches."""
    async with running_gateway(database_url, twin, webhooks=False) as running:
        yield running


async def ada(customers: Any) -> Customer:
    customer: Customer = (await customers.GetCustomer(pb.GetCustomerRequest(**ADA))).customer
    return customer


async def prefer(customers: Any, request_id: str, method: str) -> Customer:
    request = REQUESTS["SetDefaultPaymentMethod"](request_id, method)
    customer: Customer = (await customers.SetDefaultPaymentMethod(request)).customer
    return customer


async def test_a_customer_deleted_elsewhere_is_known_and_can_be_created_again(
    customers: Any, dashboard: Shop
) -> None:
    made = (await customers.CreateCustomer(new_customer())).customer
    card = await save(customers, "s-1", "visa")
    await prefer(customers, "p-1", card.payment_method_id)
    await dashboard.api.customers.delete_async(made.stripe_customer_id)
    gone = await poll(lambda: ada(customers), lambda seen: seen.state == S.CUSTOMER_STATE_DELETED)
    assert gone.default_payment_method_id == ""
    for name, request in REQUESTS.items():
        refused = await refusal_of(getattr(customers, name)(request(f"r-{name}", "pm_1")))
        assert (refused.reason, refused.metadata["customer_state"]) == (
            "INVALID_CUSTOMER_STATE",
            "DELETED",
        )
    # The first request is answered as it was; another one makes the customer anew.
    assert (await customers.CreateCustomer(new_customer())).customer == made
    anew = (await customers.CreateCustomer(new_customer("create-2"))).customer
    assert anew.state == S.CUSTOMER_STATE_ACTIVE
    assert anew.stripe_customer_id != made.stripe_customer_id
    saved = await save(customers, "s-2", "visa")
    preferred = await prefer(customers, "p-2", saved.payment_method_id)
    assert preferred.default_payment_method_id == saved.payment_method_id


@pytest.mark.parametrize("name", REQUESTS)
async def test_without_the_event_the_first_request_finds_out(
    deaf: RunningGateway, dashboard: Shop, name: str
) -> None:
    customers = deaf.customers
    made = (await customers.CreateCustomer(new_customer())).customer
    card = await save(customers, "s-1", "visa")
    await prefer(customers, "p-1", card.payment_method_id)
    await dashboard.api.customers.delete_async(made.stripe_customer_id)
    assert (await ada(customers)).state == S.CUSTOMER_STATE_ACTIVE
    request = REQUESTS[name]("r-1", card.payment_method_id)
    for _ in range(2):
        refused = await refusal_of(getattr(customers, name)(request))
        assert (refused.reason, refused.metadata) == (
            "INVALID_CUSTOMER_STATE",
            {"customer_id": "ada", "corridor": "default", "customer_state": "DELETED"},
        )
        kept = await ada(customers)
        assert (kept.state, kept.default_payment_method_id) == (S.CUSTOMER_STATE_DELETED, "")
    anew = (await customers.CreateCustomer(new_customer("create-2"))).customer
    assert anew.state == S.CUSTOMER_STATE_ACTIVE


async def test_a_change_whose_answer_was_lost_finds_the_customer_gone(
    deaf: RunningGateway, dashboard: Shop, twin: Twin
) -> None:
    customers = deaf.customers
    made = (await customers.CreateCustomer(new_customer())).customer
    twin.add_fault(kind="error", when="after", stored=True, method="POST", path="/v1/customers/.*")
    request = REQUESTS["UpdateCustomer"]("u-1", "")
    await refusal_of(customers.UpdateCustomer(request, timeout=3))
    twin.faults.clear()
    await dashboard.api.customers.delete_async(made.stripe_customer_id)
    # What Stripe keeps under the key says nothing: the customer is looked at.
    refused = await poll(
        lambda: refusal_of(customers.UpdateCustomer(request)),
        lambda found: found.reason != "OUTCOME_UNKNOWN",
    )
    assert refused.reason == "INVALID_CUSTOMER_STATE"
    assert (await ada(customers)).state == S.CUSTOMER_STATE_DELETED


async def test_a_method_detached_elsewhere_is_preferred_no_more_and_another_can_be_saved(
    customers: Any, dashboard: Shop
) -> None:
    await customers.CreateCustomer(new_customer())
    first, second = await save(customers, "s-1", "visa"), await save(customers, "s-2", "amex")
    await prefer(customers, "p-1", first.payment_method_id)
    await dashboard.api.payment_methods.detach_async(second.payment_method_id, None, fresh_key())
    await dashboard.api.payment_methods.detach_async(first.payment_method_id, None, fresh_key())
    await poll(lambda: ada(customers), lambda seen: not seen.default_payment_method_id)
    for name in ("SetDefaultPaymentMethod", "DetachPaymentMethod", "SavePaymentMethod"):
        request = REQUESTS[name](f"r-{name}", first.payment_method_id)
        request.payment_method_id = first.payment_method_id
        for _ in range(2):
            refused = await refusal_of(getattr(customers, name)(request))
            assert (refused.reason, refused.metadata) == (
                "PAYMENT_METHOD_NOT_FOUND",
                {"customer_id": "ada", "payment_method_id": first.payment_method_id},
            )
    again = await save(customers, "s-3", "visa")
    preferred = await prefer(customers, "p-3", again.payment_method_id)
    assert preferred.default_payment_method_id == again.payment_method_id


def deleted(stripe_customer_id: str, request_id: str = "") -> StripeEvent:
    metadata = {"engine_request_id": request_id} if request_id else {}
    thing = {"id": stripe_customer_id, "object": "customer", "metadata": metadata}
    return read_event(event_body("customer.deleted", object=thing), "default")


async def test_events_about_customers_come_early_wrongly_and_while_stripe_is_away(
    engine: AsyncEngine, twin: Twin, dashboard: Shop
) -> None:
    account, clock = twin.account(), ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
    key = account.secret_key

    corridor = single_corridor(SecretStr(key), twin.url, [SecretStr(account.webhook_secret)])
    living = (await dashboard.api.customers.create_async({}, fresh_key())).id
    async with open_stripe_client([corridor], engine) as opened:
        lost = LostRequests(engine, OpenGate(), CUSTOMER_REQUEST)
        events = CustomerEvents(engine, opened.client, lost, clock)
        async with engine.begin() as connection:
            asked = await store.add(connection, "ada", "default", "create-1", clock.now())
        # Nobody's, one that Stripe makes for us at the moment, and one that another corridor's is.
        await events.apply_deleted(deleted("cus_1"))
        await events.apply_deleted(deleted("cus_1", "create-of-another"))
        with pytest.raises(RetryEventLater):
            await events.apply_deleted(deleted("cus_1", "create-1"))
        asked_of_stripe = len(twin.requests.matching("GET"))
        async with engine.begin() as connection:
            await store.change(
                connection, asked, clock.now(), state=store.ACTIVE, stripe_customer_id=living
            )
        # A copy, or a forgery that was signed: Stripe still has it.
        await events.apply_deleted(deleted(living))
        assert len(twin.requests.matching("GET")) == asked_of_stripe + 1
        async with engine.connect() as connection:
            assert (await store.get(connection, asked.customer_number)).state == store.ACTIVE
        twin.outage("error")
        with pytest.raises(OutsideUnavailable):
            await events.apply_deleted(deleted(living))
        twin.outage("off")
        await dashboard.api.customers.delete_async(living)
        for _ in range(2):
            await events.apply_deleted(deleted(living))
        async with engine.connect() as connection:
            assert (await store.get(connection, asked.customer_number)).state == store.DELETED
