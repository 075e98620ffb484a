"""PaymentIntents as the SDK sees them: attempts, 3-D Secure, capture, cancellation."""

import pytest
import stripe

from sandbox.stripe_twin.cards import CARDS_BY_TOKEN, Authentication
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def test_a_payment_succeeds_and_its_fee_comes_with_charge_updated(shop: Shop) -> None:
    paid = await shop.pay(10_000, expand=["latest_charge"])

    assert paid.status == "succeeded"
    assert paid.capture_method == "automatic_async"
    assert paid.amount_received == 10_000
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert paid.latest_charge.balance_transaction is None
    assert await shop.event_types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]
    transaction = (await shop.charge_of(paid.id)).balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.amount, transaction.fee, transaction.net) == (10_000, 320, 9_680)


async def test_the_settlement_waits_for_its_delay(shop: Shop) -> None:
    shop.twin.settings.settlement_seconds = 3_600
    paid = await shop.pay()

    assert (await shop.charge_of(paid.id)).balance_transaction is None
    assert "charge.updated" not in await shop.event_types()

    shop.twin.advance(seconds=3_600)

    assert (await shop.charge_of(paid.id)).balance_transaction is not None
    updated = (await shop.api.events.list_async({"type": "charge.updated"})).data[0]
    assert updated.data.previous_attributes is not None
    assert updated.data.previous_attributes.to_dict() == {"balance_transaction": None}


async def test_automatic_capture_settles_before_it_answers(shop: Shop) -> None:
    paid = await shop.pay(capture_method="automatic", expand=["latest_charge"])

    assert isinstance(paid.latest_charge, stripe.Charge)
    assert paid.latest_charge.balance_transaction is not None
    assert "charge.updated" not in await shop.event_types()


async def test_an_intent_is_confirmed_in_a_second_step(shop: Shop) -> None:
    created = await shop.api.payment_intents.create_async(
        {"amount": 500, "currency": "eur"}, fresh_key()
    )
    assert created.status == "requires_payment_method"

    updated = await shop.api.payment_intents.update_async(
        created.id, {"payment_method": "pm_card_mastercard", "metadata": {"a": "1"}}, fresh_key()
    )
    assert updated.status == "requires_confirmation"

    confirmed = await shop.api.payment_intents.confirm_async(
        created.id, {"return_url": "https://shop.test/back"}, fresh_key()
    )
    assert confirmed.status == "succeeded"
    assert confirmed.metadata["a"] == "1"


async def test_redirecting_methods_need_a_return_url(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        await shop.api.payment_intents.create_async(
            {
                "amount": 500,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_visa",
            },
            fresh_key(),
        )
    assert shop.twin.books()["default"]["payment_intents"] == []


DECLINES = [
    ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline", "try_again_later"),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "card_declined",
        "insufficient_funds",
        "try_again_later",
    ),
    ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card", "do_not_try_again"),
    ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", "do_not_try_again"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", None, "confirm_card_data"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None, "confirm_card_data"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", None, "try_again_later"),
    ("pm_card_chargeCustomerFail", "card_declined", "generic_decline", "try_again_later"),
    ("pm_card_radarBlock", "card_declined", "fraudulent", "do_not_try_again"),
]


@pytest.mark.parametrize(("card", "code", "decline_code", "advice_code"), DECLINES)
async def test_a_declined_card(
    shop: Shop, card: str, code: str, decline_code: str | None, advice_code: str
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await shop.pay(card=card)

    error = caught.value.error
    assert caught.value.http_status == 402
    assert error is not None
    assert (error.type, error.code, error.decline_code, error.advice_code) == (
        "card_error",
        code,
        decline_code,
        advice_code,
    )
    intent = error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert intent.payment_method is None
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == code
    assert error.charge == intent.latest_charge
    charge = await shop.charge_of(intent.id)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert (await shop.event_types())[-2:] == ["charge.failed", "payment_intent.payment_failed"]


async def test_a_declined_intent_is_paid_with_another_card(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await shop.pay(card="pm_card_visa_chargeDeclined")
    assert caught.value.error is not None
    assert caught.value.error.payment_intent is not None

    paid = await shop.api.payment_intents.confirm_async(
        caught.value.error.payment_intent.id,
        {"payment_method": "pm_card_visa"},
        fresh_key(),
    )

    assert paid.status == "succeeded"
    assert paid.last_payment_error is None


@pytest.mark.parametrize(
    "token",
    [
        name
        for name, card in CARDS_BY_TOKEN.items()
        if card.decline is None and card.risk_level != "highest"
    ],
)
async def test_every_other_test_card_pays(shop: Shop, token: str) -> None:
    paid = await shop.pay(card=f"pm_card_{token}")

    wants = CARDS_BY_TOKEN[token].authentication
    asks = wants not in (Authentication.NEVER, Authentication.OPTIONAL)
    assert paid.status == ("requires_action" if asks else "succeeded")


async def test_capture_in_part_releases_the_rest_without_a_refund(shop: Shop) -> None:
    held = await shop.authorize(5_000, expand=["latest_charge"])
    assert held.status == "requires_capture"
    assert held.amount_capturable == 5_000
    assert isinstance(held.latest_charge, stripe.Charge)
    details = held.latest_charge.payment_method_details
    assert details is not None
    assert details.card is not None
    assert details.card.capture_before == held.created + 7 * 24 * 3_600

    captured = await shop.capture(held.id, 3_000)

    assert captured.status == "succeeded"
    assert (captured.amount_received, captured.amount_capturable) == (3_000, 0)
    charge = await shop.charge_of(held.id)
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (5_000, 3_000, 0)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.fee == 117
    assert shop.twin.books()["default"]["refunds"] == []
    assert (await shop.event_types())[-2:] == ["charge.captured", "payment_intent.succeeded"]


async def test_more_than_was_authorised_cannot_be_captured(shop: Shop) -> None:
    held = await shop.authorize(1_000)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.capture(held.id, 1_001)
    assert caught.value.code == "amount_too_large"
    assert (await shop.capture(held.id)).amount_received == 1_000


async def test_a_payment_is_captured_once(shop: Shop) -> None:
    held = await shop.authorize()
    await shop.capture(held.id)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.capture(held.id)
    assert caught.value.code == "payment_intent_unexpected_state"
    assert caught.value.error is not None
    assert caught.value.error.payment_intent is not None
    assert caught.value.error.payment_intent.status == "succeeded"


async def test_a_canceled_authorisation_moves_no_money(shop: Shop) -> None:
    held = await shop.authorize()
    canceled = await shop.api.payment_intents.cancel_async(
        held.id, {"cancellation_reason": "requested_by_customer"}, fresh_key()
    )
    assert canceled.status == "canceled"
    assert canceled.cancellation_reason == "requested_by_customer"
    assert shop.twin.books()["default"]["balance_transactions"] == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.capture(held.id)
    assert caught.value.code == "payment_intent_unexpected_state"


async def test_an_authorisation_expires_at_capture_before(shop: Shop) -> None:
    held = await shop.authorize()
    shop.twin.advance(seconds=7 * 24 * 3_600)

    expired = await shop.api.payment_intents.retrieve_async(held.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "expired")
    assert (await shop.event_types())[-2:] == ["charge.expired", "payment_intent.canceled"]


@pytest.mark.parametrize(
    ("amount", "code"), [(49, "amount_too_small"), (10**12, "amount_too_large")]
)
async def test_amounts_have_limits(shop: Shop, amount: int, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay(amount)
    assert (caught.value.code, caught.value.param) == (code, "amount")


async def test_a_card_without_customer_pays_once(shop: Shop) -> None:
    method = await shop.api.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}, fresh_key()
    )
    await shop.pay(card=method.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await shop.pay(card=method.id)


async def test_an_authorisation_is_captured_in_parts(shop: Shop) -> None:
    options = {"card": {"request_multicapture": "if_available"}}
    held = await shop.authorize(5_000, payment_method_options=options)
    first = await shop.capture(held.id, 2_000, final_capture=False)
    assert (first.status, first.amount_capturable, first.amount_received) == (
        "requires_capture",
        3_000,
        2_000,
    )
    charge = await shop.charge_of(held.id)
    assert (charge.captured, charge.amount_captured) == (False, 2_000)
    assert (await shop.refund(held.id, 500)).status == "succeeded"

    last = await shop.capture(held.id, 1_000)

    assert (last.status, last.amount_capturable, last.amount_received) == ("succeeded", 0, 3_000)
    charge = await shop.charge_of(held.id)
    assert (charge.captured, charge.amount_captured) == (True, 3_000)
    booked = await shop.api.balance_transactions.list_async({"source": charge.id})
    assert [(item.amount, item.fee) for item in booked.data] == [(1_000, 59), (2_000, 88)]
    assert (await shop.event_types())[-2:] == ["charge.captured", "payment_intent.succeeded"]


async def test_what_is_not_captured_of_parts_is_released(shop: Shop) -> None:
    options = {"card": {"request_multicapture": "if_available"}}
    held = await shop.authorize(5_000, payment_method_options=options)
    await shop.capture(held.id, 2_000, final_capture=False)
    released = await shop.api.payment_intents.cancel_async(held.id, None, fresh_key())
    assert (released.status, released.amount_received) == ("succeeded", 2_000)
    assert (await shop.charge_of(held.id)).captured


async def test_capturing_in_parts_must_be_asked_for(shop: Shop) -> None:
    held = await shop.authorize(5_000)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.capture(held.id, 2_000, final_capture=False)
    assert caught.value.param == "final_capture"
    whole = await shop.capture(held.id, 5_000, final_capture=False)
    assert whole.status == "succeeded"
