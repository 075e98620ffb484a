"""Merchants, customers and what they have saved, which a restored gateway has lost."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.recovery.guard import RestoreGuard
from gateway.v1.customer_pb2 import CUSTOMER_STATE_ACTIVE, Customer
from gateway.v1.customer_service_pb2 import ListPaymentMethodsRequest
from gateway.v1.customer_service_pb2_grpc import CustomerServiceStub
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup
from tests.gateway.customers.conftest import new_customer, save
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import OpenShop, refusal_of

# https://docs.stripe.com/api/idempotent_requests
KEYS_FORGOTTEN = 25 * 3_600


async def test_what_was_made_at_stripe_is_found_again_and_made_once(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    async with open_shop() as shop:
        customers = CustomerServiceStub(shop.channel)
        await customers.CreateCustomer(new_customer("kept", customer_id="grace"))
    backup.take()
    # Those that a release before this one has made, which sent less along.
    account = twin.account()
    (kept,) = account.objects("customer")
    for number, made_by in enumerate(({"engine_request_id": "before"}, {"order": "1"})):
        account.objects("customer").add({**kept, "id": f"cus_before{number}", "metadata": made_by})
    unnamed = new_merchant("unnamed", merchant_id="")
    async with open_shop() as shop:
        await shop.create()
        customers, merchants = CustomerServiceStub(shop.channel), MerchantServiceStub(shop.channel)
        customer = (await customers.CreateCustomer(new_customer())).customer
        setup = await save(customers, "save", "visa")
        of_kept = await save(customers, "save-kept", "visa", customer_id="grace")
        merchant = (await merchants.CreateMerchant(new_merchant())).merchant
        other = (await merchants.CreateMerchant(unnamed)).merchant
    backup.restore()
    said = await recover()
    assert (
        "default: 1 customers carry only an id, as an earlier release made them: they are not"
        " rebuilt if the database does not have them"
    ) in said
    assert len([line for line in said if "carry only an id" in line]) == 1
    for rebuilt in ("2 accounts read, 2", "4 customers read, 1", "2 SetupIntents read, 2"):
        assert f"default: {rebuilt} rebuilt" in said
    twin.advance(seconds=KEYS_FORGOTTEN)
    async with open_shop(webhooks=False) as shop:
        customers, merchants = CustomerServiceStub(shop.channel), MerchantServiceStub(shop.channel)
        again = (await customers.CreateCustomer(new_customer())).customer
        assert again.stripe_customer_id == customer.stripe_customer_id
        assert again.state == CUSTOMER_STATE_ACTIVE
        assert await save(customers, "save", "visa") == setup
        assert await save(customers, "save-kept", "visa", customer_id="grace") == of_kept
        saved = await customers.ListPaymentMethods(ListPaymentMethodsRequest(customer_id="ada"))
        assert [one.payment_method_id for one in saved.payment_methods] == [setup.payment_method_id]
        for request, first in ((new_merchant(), merchant), (unnamed, other)):
            repeated = (await merchants.CreateMerchant(request)).merchant
            assert repeated.merchant_id == first.merchant_id
            assert repeated.connected_account_id == first.connected_account_id
            assert repeated.snapshot.content_hash == first.snapshot.content_hash
        # Another request is none of those.
        for call in (
            customers.CreateCustomer(new_customer(email="eve@example.com")),
            merchants.CreateMerchant(new_merchant(country_code="FR")),
        ):
            assert (await refusal_of(call)).reason == "REQUEST_ID_REUSED"
    # Nothing was made twice, and nothing is left to do for a second recovery.
    said = await recover()
    for rebuilt in ("2 accounts read, 0", "4 customers read, 0", "2 SetupIntents read, 0"):
        assert f"default: {rebuilt} rebuilt" in said


async def test_a_second_customer_that_was_made_before_anybody_noticed_is_shown_to_a_person(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backup.take()
    async with open_shop() as shop:
        customers, merchants = CustomerServiceStub(shop.channel), MerchantServiceStub(shop.channel)
        lost = (await customers.CreateCustomer(new_customer())).customer
        account = (await merchants.CreateMerchant(new_merchant())).merchant
    backup.restore()
    with monkeypatch.context() as patches:
        patches.setattr(RestoreGuard, "_compare", finds_nothing)
        second = await make_others(open_shop)
    said = await recover()
    assert (
        f"ada is {second.stripe_customer_id}, and {lost.stripe_customer_id} in default was made for"
        " it, too: look at it"
    ) in said
    connected = account.connected_account_id
    assert f"{connected} in default was made for shop-1, too: look at it" in said
    # A platform without Connect, or a key that may not list them, has no accounts.
    refusal = {"error": {"type": "invalid_request_error", "message": "not with this key"}}
    twin.add_fault(kind="proxy", method="GET", path="/v1/accounts", status=403, body=refusal)
    said = await recover()
    assert "default: Stripe does not let us list accounts" in said
    assert said[-1] == "recovered: payments are taken again"
    # The guard misses nothing any more, and who made the lost ones is told of the others.
    async with open_shop() as shop:
        customers, merchants = CustomerServiceStub(shop.channel), MerchantServiceStub(shop.channel)
        for call, reason in (
            (customers.CreateCustomer(new_customer()), "CUSTOMER_EXISTS"),
            (merchants.CreateMerchant(new_merchant()), "MERCHANT_EXISTS"),
        ):
            assert (await refusal_of(call)).reason == reason


async def test_an_account_that_the_key_may_not_read_does_not_end_the_recovery(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    backup.take()
    async with open_shop() as shop:
        merchants = MerchantServiceStub(shop.channel)
        account = (await merchants.CreateMerchant(new_merchant())).merchant
    backup.restore()
    connected = account.connected_account_id
    refusal = {"error": {"type": "invalid_request_error", "message": "not with this key"}}
    fault = twin.add_fault(
        kind="proxy", method="GET", path=f"/v1/accounts/{connected}", status=403, body=refusal
    )
    said = await recover()
    assert f"Stripe does not let us read {connected} of shop-1: look at it" in said
    assert "default: 1 accounts read, 1 rebuilt" in said
    assert said[-1] == "recovered: payments are taken again"
    twin.faults.clear(fault)
    async with open_shop() as shop:
        merchants = MerchantServiceStub(shop.channel)
        again = (await merchants.CreateMerchant(new_merchant())).merchant
        assert again.connected_account_id == connected


async def finds_nothing(_guard: RestoreGuard, _corridor: str, _since: object) -> bool:
    """The look at the start."""
    return True


async def make_others(open_shop: OpenShop) -> Customer:
    """The customer of a second one of both, before anybody has told of the first."""
    async with open_shop(webhooks=False, roles="api") as shop:
        customers, merchants = CustomerServiceStub(shop.channel), MerchantServiceStub(shop.channel)
        await merchants.CreateMerchant(new_merchant("other"))
        return (await customers.CreateCustomer(new_customer("other"))).customer
