"""Saved payment methods: with and without 3-D Secure, preferred, listed, forgotten."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from gateway.customers.domain import setup_message
from gateway.customers.store import StoredCustomer
from gateway.v1 import customer_service_pb2 as pb
from gateway.v1.customer_pb2 import PaymentMethodSetupState
from gateway.v1.payment_pb2 import (
    PAYMENT_METHOD_TYPE_BACS_DEBIT,
    PAYMENT_METHOD_TYPE_CARD,
    PAYMENT_METHOD_TYPE_US_BANK_ACCOUNT,
    MandateAcceptance,
)
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer, save
from tests.gateway.running import refusal_of

S = PaymentMethodSetupState


@pytest.fixture
async def ada(customers: Any) -> Any:
    """The service, with a customer."""
    await customers.CreateCustomer(new_customer())
    return customers


async def saved(customers: Any) -> list[Any]:
    request = pb.ListPaymentMethodsRequest(customer_id="ada")
    return list((await customers.ListPaymentMethods(request)).payment_methods)


async def test_a_card_is_saved_listed_and_saved_once(ada: Any, twin: Twin) -> None:
    setup = await save(ada, "s-1", "visa")
    assert setup.state == S.PAYMENT_METHOD_SETUP_STATE_SUCCEEDED
    assert await save(ada, "s-1", "visa") == setup
    [card] = await saved(ada)
    assert card.payment_method_id == setup.payment_method_id
    assert (card.brand, card.last4, card.is_default) == ("visa", "4242", False)
    assert len(twin.requests.matching("POST", "/v1/setup_intents")) == 1
    refused = await refusal_of(save(ada, "s-1", "mastercard"))
    assert refused.metadata["differing_fields"] == "payment_method_id"


async def test_3d_secure_is_done_while_saving(ada: Any, twin: Twin) -> None:
    back = "https://shop.example/back"
    setup = await save(ada, "s-1", "authenticationRequiredOnSetup", return_url=back)
    assert setup.state == S.PAYMENT_METHOD_SETUP_STATE_REQUIRES_ACTION
    assert setup.next_action.redirect_url
    assert not setup.next_action.client_secret
    assert not await saved(ada)
    twin.complete_authentication(setup.id)
    read = pb.GetPaymentMethodSetupRequest(customer_id="ada", setup_id=setup.id)
    done = (await ada.GetPaymentMethodSetup(read)).setup
    assert done.state == S.PAYMENT_METHOD_SETUP_STATE_SUCCEEDED
    assert [card.payment_method_id for card in await saved(ada)] == [done.payment_method_id]


async def test_without_a_return_url_the_secret_is_told_and_not_kept(ada: Any) -> None:
    setup = await save(ada, "s-1", "authenticationRequiredOnSetup")
    assert "_secret_" in setup.next_action.client_secret
    # The same request reads it from Stripe again.
    assert (await save(ada, "s-1", "authenticationRequiredOnSetup")) == setup


async def test_a_card_that_is_refused_is_an_answer(ada: Any) -> None:
    setup = await save(ada, "s-1", "visa_chargeDeclinedStolenCard")
    assert setup.state == S.PAYMENT_METHOD_SETUP_STATE_DECLINED
    assert setup.decline.code == "card_declined"
    assert setup.decline.advice_code == "do_not_try_again"
    assert not await saved(ada)


async def test_a_lost_answer_saves_the_card_once(ada: Any, twin: Twin) -> None:
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/setup_intents", count=1)
    setup = await save(ada, "s-1", "visa")
    assert setup.state == S.PAYMENT_METHOD_SETUP_STATE_SUCCEEDED
    assert len(await saved(ada)) == 1
    assert len(list(twin.account().objects("setup_intent"))) == 1


async def test_one_card_is_preferred_until_it_is_forgotten(ada: Any, twin: Twin) -> None:
    first = await save(ada, "s-1", "visa")
    second = await save(ada, "s-2", "mastercard")
    prefer = pb.SetDefaultPaymentMethodRequest(
        request_id="p-1", customer_id="ada", payment_method_id=second.payment_method_id
    )
    customer = (await ada.SetDefaultPaymentMethod(prefer)).customer
    assert customer.default_payment_method_id == second.payment_method_id
    assert (await ada.SetDefaultPaymentMethod(prefer)).customer == customer
    assert {card.payment_method_id for card in await saved(ada) if card.is_default} == {
        second.payment_method_id
    }
    forget = pb.DetachPaymentMethodRequest(
        request_id="f-1", customer_id="ada", payment_method_id=second.payment_method_id
    )
    await ada.DetachPaymentMethod(forget)
    await ada.DetachPaymentMethod(forget)
    assert [card.payment_method_id for card in await saved(ada)] == [first.payment_method_id]
    read = await ada.GetCustomer(pb.GetCustomerRequest(customer_id="ada"))
    assert read.customer.default_payment_method_id == ""


async def test_a_lost_answer_to_forgetting_is_settled_with_the_same_key(
    ada: Any, twin: Twin
) -> None:
    setup = await save(ada, "s-1", "visa")
    twin.add_fault(kind="reset", when="after", method="POST", path=".*/detach")
    forget = pb.DetachPaymentMethodRequest(
        request_id="f-1", customer_id="ada", payment_method_id=setup.payment_method_id
    )
    refused = await refusal_of(ada.DetachPaymentMethod(forget, timeout=3))
    assert refused.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    twin.faults.clear()
    await ada.DetachPaymentMethod(forget)
    assert not await saved(ada)


async def test_a_card_of_somebody_else_is_out_of_reach(ada: Any, twin: Twin) -> None:
    await ada.CreateCustomer(new_customer("create-2", customer_id="bob"))
    card = await save(ada, "s-1", "visa")
    posts = len(twin.requests.matching("POST"))
    for call, request in (
        (ada.SetDefaultPaymentMethod, pb.SetDefaultPaymentMethodRequest),
        (ada.DetachPaymentMethod, pb.DetachPaymentMethodRequest),
    ):
        refused = await refusal_of(
            call(
                request(
                    request_id="b-1", customer_id="bob", payment_method_id=card.payment_method_id
                )
            )
        )
        assert refused.reason == "PAYMENT_METHOD_NOT_FOUND"
    refused = await refusal_of(
        ada.GetPaymentMethodSetup(
            pb.GetPaymentMethodSetupRequest(customer_id="bob", setup_id=card.id)
        )
    )
    assert refused.reason == "SETUP_NOT_FOUND"
    assert len(twin.requests.matching("POST")) == posts
    assert len(await saved(ada)) == 1


async def test_pages_of_cards(ada: Any) -> None:
    for number, card in enumerate(("visa", "mastercard", "amex")):
        await save(ada, f"s-{number}", card)
    request = pb.ListPaymentMethodsRequest(customer_id="ada", page_size=2)
    first = await ada.ListPaymentMethods(request)
    request.page_token = first.next_page_token
    second = await ada.ListPaymentMethods(request)
    brands = [card.brand for card in [*first.payment_methods, *second.payment_methods]]
    assert brands == ["amex", "mastercard", "visa"]
    assert not second.next_page_token


async def test_a_bank_account_is_saved_with_its_mandate_and_listed_beside_cards(
    ada: Any, twin: Twin
) -> None:
    card = await save(ada, "s-1", "visa")
    account = await save(
        ada,
        "s-2",
        "",
        payment_method_id="pm_usBankAccount_success",
        type=PAYMENT_METHOD_TYPE_US_BANK_ACCOUNT,
        mandate_acceptance=MandateAcceptance(ip_address="203.0.113.7", user_agent="Firefox"),
    )
    assert account.state == S.PAYMENT_METHOD_SETUP_STATE_SUCCEEDED
    listed = {method.payment_method_id: method for method in await saved(ada)}
    assert listed[card.payment_method_id].type == PAYMENT_METHOD_TYPE_CARD
    shown = listed[account.payment_method_id]
    assert (shown.type, shown.last4, shown.bank_name, shown.brand) == (
        *(PAYMENT_METHOD_TYPE_US_BANK_ACCOUNT, "6789"),
        *("STRIPE TEST BANK", ""),
    )
    assert twin.account().cards[account.payment_method_id].set_up


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": PAYMENT_METHOD_TYPE_US_BANK_ACCOUNT}, "mandate_acceptance"),
        ({"mandate_acceptance": MandateAcceptance()}, "mandate_acceptance"),
        (
            {
                "type": PAYMENT_METHOD_TYPE_BACS_DEBIT,
                "mandate_acceptance": MandateAcceptance(),
            },
            "type",
        ),
    ],
)
async def test_a_mandate_belongs_to_bank_debits_that_can_be_saved_here(
    ada: Any, twin: Twin, fields: dict[str, Any], field: str
) -> None:
    refused = await refusal_of(save(ada, "s-1", "visa", **fields))
    assert [violation.field for violation in refused.violations] == [field]
    assert not twin.requests.matching("POST", "/v1/setup_intents")


def test_an_account_that_is_not_verified_is_saved_on_stripes_page() -> None:
    """As of a payment: whoever has no Stripe.js sends the customer there."""
    now = datetime(2026, 11, 29, tzinfo=UTC)
    customer = StoredCustomer(1, "ada", "us", "cus_1", "ACTIVE", "", "", "r-1", now, now)
    page = "https://payments.stripe.com/microdeposit/1"
    setup = {
        "id": "seti_1",
        "status": "requires_action",
        "client_secret": "seti_1_secret_1",
        "next_action": {
            "type": "verify_with_microdeposits",
            "verify_with_microdeposits": {"hosted_verification_url": page},
        },
    }
    shown = setup_message(setup, customer)
    assert (shown.next_action.redirect_url, shown.next_action.client_secret) == (page, "")
