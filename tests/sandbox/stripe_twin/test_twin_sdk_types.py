"""The twin's answers have the shape that the SDK declares, and its checks the SDK's parameters."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin.events import API_VERSION
from sandbox.stripe_twin.params import adapter
from sandbox.stripe_twin.routes import ROUTES
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


def wrong(kind: type, item: Any) -> list[str]:
    return problems(kind, item.to_dict())


def test_the_twin_models_the_version_that_the_sdk_speaks() -> None:
    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize("name", sorted({route.params for route in ROUTES}))
def test_every_route_is_checked_by_a_type_of_the_sdk(name: str) -> None:
    assert adapter(name) is adapter(name)


async def test_what_the_checker_would_find(shop: Shop) -> None:
    intent = (await shop.pay()).to_dict()
    del intent["amount"]
    intent |= {"colour": "red", "currency": 5, "livemode": "no"}
    assert problems(stripe.PaymentIntent, intent) == [
        ".colour: unknown to the SDK",
        ".amount: missing",
        ".currency: 5 is no <class 'str'>",
        ".livemode: 'no' is no <class 'bool'>",
    ]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"capture_method": "manual"},
        {"card": "pm_card_authenticationRequired", "return_url": "https://shop.test/"},
        {"card": "pm_card_authenticationRequired", "use_stripe_sdk": True},
        {
            "metadata": {"0": "a", "order": "b"},
            "shipping": {"name": "A", "address": {"line1": "B"}},
        },
    ],
)
async def test_payment_intents_and_charges(shop: Shop, more: Any) -> None:
    intent = await shop.pay(**more, expand=["latest_charge.balance_transaction", "payment_method"])
    assert wrong(stripe.PaymentIntent, intent) == []


async def test_declined_intents_and_charges(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await shop.pay(card="pm_card_radarBlock")
    assert caught.value.error is not None
    intent = caught.value.error.payment_intent
    assert intent is not None
    assert wrong(stripe.PaymentIntent, intent) == []
    assert wrong(stripe.Charge, await shop.charge_of(intent.id)) == []
    assert isinstance(caught.value.json_body, dict)
    body = caught.value.json_body["error"]
    assert problems(stripe.ErrorObject, body) == []


async def test_settled_charges_and_refunds(shop: Shop) -> None:
    paid = await shop.pay()
    refund = await shop.refund(paid.id, 500)
    charge = await shop.api.charges.retrieve_async(
        str(paid.latest_charge), {"expand": ["refunds", "balance_transaction"]}
    )
    assert wrong(stripe.Charge, charge) == []
    assert wrong(stripe.Refund, refund) == []
    assert charge.refunds is not None
    assert [item.id for item in charge.refunds.data] == [refund.id]


async def test_balance_and_events(shop: Shop) -> None:
    await shop.pay()
    assert wrong(stripe.Balance, await shop.api.balance.retrieve_async()) == []
    transactions = await shop.api.balance_transactions.list_async()
    assert [wrong(stripe.BalanceTransaction, item) for item in transactions.data] == [[]]
    events = await shop.api.events.list_async()
    assert [wrong(stripe.Event, item) for item in events.data] == [[], [], [], []]


async def test_customers_methods_and_endpoints(shop: Shop) -> None:
    customer = await shop.api.customers.create_async({"name": "A"}, fresh_key())
    assert wrong(stripe.Customer, customer) == []
    method = await shop.api.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}, fresh_key()
    )
    assert wrong(stripe.PaymentMethod, method) == []
    endpoint = await shop.api.webhook_endpoints.create_async(
        {"url": "https://shop.test/", "enabled_events": ["*"]}, fresh_key()
    )
    assert wrong(stripe.WebhookEndpoint, endpoint) == []
