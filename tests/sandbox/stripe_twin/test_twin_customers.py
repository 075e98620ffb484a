"""Customers, the cards that they keep, and what SetupIntents do to these."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.overrides import CardOverride
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def new_customer(shop: Shop, **more: Any) -> str:
    params: Any = {"email": "ada@shop.test", **more}
    return (await shop.api.customers.create_async(params, fresh_key())).id


async def set_up(shop: Shop, card: str, **more: Any) -> stripe.SetupIntent:
    params: Any = {
        "confirm": True,
        "payment_method": card,
        "allowed_payment_method_types": ["card"],
        **more,
    }
    return await shop.api.setup_intents.create_async(params, fresh_key())


async def test_a_customer_lives_and_is_deleted(shop: Shop) -> None:
    customer = await new_customer(shop, payment_method="pm_card_visa", metadata={"a": "b"})
    (method,) = (await shop.api.customers.payment_methods.list_async(customer)).data
    assert method.customer == customer
    updated = await shop.api.customers.update_async(
        customer,
        {"name": "Ada", "invoice_settings": {"default_payment_method": method.id}},
        fresh_key(),
    )
    assert problems(stripe.Customer, updated.to_dict()) == []
    assert updated.invoice_settings is not None
    assert updated.invoice_settings.default_payment_method == method.id
    found = await shop.api.customers.search_async({"query": "email:'ada@shop.test'"})
    assert [item.id for item in found.data] == [customer]
    one = await shop.api.customers.payment_methods.retrieve_async(customer, method.id)
    assert one.id == method.id

    deleted = await shop.api.customers.delete_async(customer, None, fresh_key())

    assert deleted.deleted is True
    assert (await shop.api.customers.retrieve_async(customer)).deleted is True
    assert (await shop.api.payment_methods.retrieve_async(method.id)).customer is None
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await shop.pay(customer=customer)
    assert (await shop.event_types())[-2:] == ["payment_method.detached", "customer.deleted"]


async def test_a_default_method_must_belong_to_the_customer(shop: Shop) -> None:
    customer = await new_customer(shop)
    other = await shop.api.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}, fresh_key()
    )
    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method"):
        await shop.api.customers.update_async(
            customer, {"invoice_settings": {"default_payment_method": other.id}}, fresh_key()
        )


async def test_methods_are_listed_updated_and_detached(shop: Shop) -> None:
    customer = await new_customer(shop)
    attach = shop.api.payment_methods.attach_async
    first = await attach("pm_card_visa", {"customer": customer}, fresh_key())
    second = await attach("pm_card_mastercard", {"customer": customer}, fresh_key())
    listed = await shop.api.payment_methods.list_async({"customer": customer, "type": "card"})
    assert [item.id for item in listed.data] == [second.id, first.id]
    updated = await shop.api.payment_methods.update_async(
        first.id, {"card": {"exp_month": 1, "exp_year": 2040}}, fresh_key()
    )
    assert updated.card is not None
    assert (updated.card.exp_month, updated.card.exp_year) == (1, 2040)
    stranger = await new_customer(shop)
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await attach(first.id, {"customer": stranger}, fresh_key())

    detach = shop.api.payment_methods.detach_async
    assert (await detach(first.id, None, fresh_key())).customer is None

    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        await detach(first.id, None, fresh_key())
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await shop.pay(card=first.id)


async def test_a_setup_keeps_the_card_for_off_session_payments(shop: Shop) -> None:
    customer = await new_customer(shop)
    setup = await set_up(shop, "pm_card_authenticationRequiredOnSetup", customer=customer)
    assert problems(stripe.SetupIntent, setup.to_dict()) == []
    assert (setup.status, setup.usage) == ("requires_action", "off_session")

    shop.twin.complete_authentication(setup.id)

    done = await shop.api.setup_intents.retrieve_async(setup.id, {"expand": ["latest_attempt"]})
    assert done.status == "succeeded"
    assert problems(stripe.SetupIntent, done.to_dict()) == []
    method = str(done.payment_method)
    paid = await shop.pay(card=method, customer=customer, off_session=True)
    assert paid.status == "succeeded"
    attempts = await shop.api.setup_attempts.list_async({"setup_intent": setup.id})
    assert [problems(stripe.SetupAttempt, item.to_dict()) for item in attempts.data] == [[]]
    assert [item.status for item in attempts.data] == ["succeeded"]
    assert (await shop.event_types())[1:5] == [
        "setup_intent.created",
        "setup_intent.requires_action",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]


async def test_a_card_that_was_only_attached_is_asked_for_off_session(shop: Shop) -> None:
    customer = await new_customer(shop)
    method = await shop.api.payment_methods.attach_async(
        "pm_card_authenticationRequiredOnSetup", {"customer": customer}, fresh_key()
    )
    with pytest.raises(stripe.CardError) as caught:
        await shop.pay(card=method.id, customer=customer, off_session=True)
    assert caught.value.http_status == 402
    error = caught.value.error
    assert error is not None
    assert (error.code, error.decline_code) == ("authentication_required",) * 2
    assert error.payment_intent is not None
    assert error.payment_intent.status == "requires_payment_method"
    assert error.payment_method is not None
    again = await shop.api.payment_intents.confirm_async(
        error.payment_intent.id,
        {"payment_method": method.id, "return_url": "https://shop.test/"},
        fresh_key(),
    )
    assert again.status == "requires_action"


async def test_a_payment_sets_its_card_up(shop: Shop) -> None:
    customer = await new_customer(shop)
    first = await shop.pay(customer=customer, setup_future_usage="off_session")
    assert first.status == "succeeded"
    later = await shop.pay(card=str(first.payment_method), customer=customer, off_session=True)
    assert later.status == "succeeded"


async def test_a_failed_authentication_and_a_refused_card_are_setup_errors(shop: Shop) -> None:
    setup = await set_up(shop, "pm_card_authenticationRequired", return_url="https://shop.test/")
    shop.twin.complete_authentication(setup.id, passed=False)
    failed = await shop.api.setup_intents.retrieve_async(setup.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.code == "setup_intent_authentication_failure"
    assert problems(stripe.SetupIntent, failed.to_dict()) == []
    with pytest.raises(stripe.CardError) as caught:
        await shop.api.setup_intents.confirm_async(
            setup.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}, fresh_key()
        )
    assert isinstance(caught.value.json_body, dict)
    error = caught.value.json_body["error"]
    assert error["decline_code"] == "insufficient_funds"
    assert problems(stripe.ErrorObject, error) == []
    assert (await shop.event_types())[-1] == "setup_intent.setup_failed"
    canceled = await shop.api.setup_intents.cancel_async(
        setup.id, {"cancellation_reason": "abandoned"}, fresh_key()
    )
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.setup_intents.confirm_async(setup.id, None, fresh_key())
    assert refused.value.code == "setup_intent_unexpected_state"
    listed = await shop.api.setup_intents.list_async({"limit": 1})
    assert [item.id for item in listed.data] == [setup.id]


async def test_a_setup_is_prepared_and_confirmed_in_steps(shop: Shop) -> None:
    customer = await new_customer(shop)
    created = await shop.api.setup_intents.create_async({"usage": "on_session"}, fresh_key())
    assert created.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await shop.api.setup_intents.confirm_async(created.id, None, fresh_key())
    updated = await shop.api.setup_intents.update_async(
        created.id,
        {"customer": customer, "payment_method": "pm_card_visa", "metadata": {"a": "b"}},
        fresh_key(),
    )
    assert updated.status == "requires_confirmation"
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        await shop.api.setup_intents.confirm_async(created.id, None, fresh_key())
    done = await shop.api.setup_intents.confirm_async(
        created.id, {"return_url": "https://shop.test/"}, fresh_key()
    )
    assert (done.status, done.customer) == ("succeeded", customer)


async def test_a_test_makes_a_kept_card_decline_and_recover(shop: Shop, twin: Twin) -> None:
    customer = await new_customer(shop)
    setup = await set_up(shop, "pm_card_mastercard", customer=customer)
    method = str(setup.payment_method)
    twin.override_card(method, CardOverride(decline="do_not_honor", times=2))
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            await shop.pay(card=method, customer=customer, off_session=True)
        error = caught.value.error
        assert error is not None
        assert (error.decline_code, error.advice_code) == ("do_not_honor", "try_again_later")
        assert (error.network_decline_code, error.network_advice_code) == ("05", "02")
    paid = await shop.pay(card=method, customer=customer, off_session=True)
    assert paid.status == "succeeded"
    twin.override_card(method, CardOverride(decline="pickup_card"))
    with pytest.raises(stripe.CardError) as stolen:
        await shop.pay(card=method, customer=customer, off_session=True)
    assert stolen.value.error is not None
    assert stolen.value.error.advice_code == "do_not_try_again"
    charges = await shop.api.charges.list_async({"customer": customer, "limit": 1})
    outcome = charges.data[0].outcome
    assert outcome is not None
    assert (outcome.network_decline_code, outcome.network_advice_code) == ("04", "03")
    twin.override_card(method, CardOverride(decline=None))
    assert (await shop.pay(card=method, customer=customer)).status == "succeeded"
    with pytest.raises(ValueError, match="no decline no_such_code"):
        twin.override_card(method, CardOverride(decline="no_such_code"))
