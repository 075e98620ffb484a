"""3-D Secure: with the customer present, failed, and where no customer is there."""

import pytest
import stripe

from sandbox.stripe_twin import Twin
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def test_three_d_secure_passes(shop: Shop, twin: Twin) -> None:
    waiting = await shop.pay(
        card="pm_card_threeDSecure2Required", return_url="https://shop.test/back?order=1"
    )
    assert waiting.status == "requires_action"
    assert waiting.next_action is not None
    assert waiting.next_action.redirect_to_url is not None
    assert waiting.next_action.redirect_to_url.return_url == "https://shop.test/back?order=1"

    twin.complete_authentication(waiting.id)

    paid = await shop.api.payment_intents.retrieve_async(waiting.id)
    assert paid.status == "succeeded"
    assert paid.next_action is None
    charge = await shop.charge_of(paid.id)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.three_d_secure is not None
    assert charge.payment_method_details.card.three_d_secure.result == "authenticated"


async def test_three_d_secure_fails(shop: Shop, twin: Twin) -> None:
    waiting = await shop.pay(card="pm_card_authenticationRequired", use_stripe_sdk=True)
    assert waiting.next_action is not None
    assert waiting.next_action.type == "use_stripe_sdk"

    twin.complete_authentication(waiting.id, passed=False)

    failed = await shop.api.payment_intents.retrieve_async(waiting.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert shop.twin.books()["default"]["charges"] == []


async def test_three_d_secure_passes_and_the_card_is_declined(shop: Shop, twin: Twin) -> None:
    waiting = await shop.pay(
        card="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        return_url="https://shop.test/",
    )

    twin.complete_authentication(waiting.id)

    failed = await shop.api.payment_intents.retrieve_async(waiting.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.decline_code == "insufficient_funds"


async def test_a_merchant_asks_for_three_d_secure(shop: Shop) -> None:
    waiting = await shop.pay(
        return_url="https://shop.test/",
        payment_method_options={"card": {"request_three_d_secure": "any"}},
    )
    assert waiting.status == "requires_action"


async def test_an_off_session_payment_that_needs_the_customer_is_refused(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await shop.pay(card="pm_card_authenticationRequired", off_session=True)

    assert caught.value.error is not None
    assert caught.value.error.code == "authentication_required"
    assert caught.value.error.decline_code == "authentication_required"
    assert caught.value.error.payment_intent is not None
    assert caught.value.error.payment_intent.status == "requires_payment_method"


async def test_a_card_that_was_set_up_pays_off_session(shop: Shop, twin: Twin) -> None:
    customer = await shop.api.customers.create_async({"email": "a@shop.test"}, fresh_key())
    first = await shop.pay(
        card="pm_card_authenticationRequiredOnSetup",
        customer=customer.id,
        setup_future_usage="off_session",
        return_url="https://shop.test/",
    )
    method = first.payment_method
    twin.complete_authentication(first.id)

    again = await shop.pay(card=str(method), customer=customer.id, off_session=True)

    assert again.status == "succeeded"
