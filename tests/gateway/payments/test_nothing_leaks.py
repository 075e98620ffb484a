"""A whole life of a customer, and afterwards a look at what was logged, listed and streamed."""

from typing import Any

import pytest

from gateway.v1 import customer_service_pb2 as pb
from gateway.v1 import payment_service_pb2 as payment_pb
from gateway.v1.customer_service_pb2_grpc import CustomerServiceStub
from gateway.v1.payment_pb2 import PaymentMethod, PaymentState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer, save
from tests.gateway.payments.cards import bank_treats_as
from tests.gateway.payments.shop import Shop, fresh
from tests.gateway.running import OpenShop, refusal_of

S = PaymentState
EMAIL, NAME, NUMBER = "ada.private@example.com", "Ada Unmentionable", "4242424242424242"


async def come_back(shop: Shop, payment: Any) -> Any:
    request = payment_pb.ConfirmPaymentRequest(request_id=fresh(), payment_id=payment.id)
    return (await shop.call("ConfirmPayment", request)).payment


async def test_secrets_and_people_are_in_no_log_list_or_stream(
    open_shop: OpenShop, twin: Twin, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_shop() as shop:
        secrets, shown = await live(shop, twin)
    account = twin.account()
    keys = {account.secret_key, account.webhook_secret}
    assert all("_secret_" in secret for secret in secrets)
    for secret in (*secrets, *keys, EMAIL, NAME, NUMBER):
        assert secret not in shown
    captured = capfd.readouterr()
    logged = captured.out + captured.err
    assert all(line in logged for line in ("serving", "CONNECTION_LOST", "stopped"))
    for secret in (*secrets, *keys, EMAIL, NAME, NUMBER, "_secret_"):
        assert secret not in logged


async def live(shop: Shop, twin: Twin) -> tuple[set[str], str]:
    """What must stay between the client and Stripe, and what lists and streams have shown."""
    customers: Any = CustomerServiceStub(shop.channel)
    made = await customers.CreateCustomer(new_customer(email=EMAIL, name=NAME))
    setup = await save(customers, "s-1", "authenticationRequiredOnSetup")
    secrets = {setup.next_action.client_secret}
    twin.complete_authentication(setup.id)
    await customers.UpdateCustomer(
        pb.UpdateCustomerRequest(request_id="u-1", customer_id="ada", email=EMAIL, name=NAME)
    )
    card = PaymentMethod(
        token=setup.payment_method_id, stripe_customer_id=made.customer.stripe_customer_id
    )
    bank_treats_as(twin, card, "authenticationRequired")
    declined = await shop.create(payment_method=card, off_session=True)
    waiting = await come_back(shop, declined)
    assert waiting.state == S.PAYMENT_STATE_REQUIRES_ACTION
    secrets.add(waiting.next_action.client_secret)
    # Refusals and lost answers have their own lines in the log.
    await refusal_of(customers.CreateCustomer(new_customer("c-2", email=EMAIL, name=NAME)))
    await refusal_of(customers.CreateCustomer(new_customer(request_id=NAME, email=EMAIL)))
    await refusal_of(save(customers, "s-2", NUMBER + " " + NUMBER))
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/customers/.*", count=9)
    update = pb.UpdateCustomerRequest(request_id="u-2", customer_id="ada", email=EMAIL)
    await refusal_of(customers.UpdateCustomer(update, timeout=3))
    twin.faults.clear()

    listed = await customers.ListCustomers(pb.ListCustomersRequest())
    payments = await shop.stub.ListPayments(payment_pb.ListPaymentsRequest())
    events = await shop.watch_until(declined.id, S.PAYMENT_STATE_REQUIRES_ACTION)
    cards = await customers.ListPaymentMethods(pb.ListPaymentMethodsRequest(customer_id="ada"))
    shown = f"{listed}{payments}{events}{cards}"
    return secrets, shown
