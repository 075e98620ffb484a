"""Which amounts the twin takes of which currency, as https://docs.stripe.com/currencies says."""

import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.currencies import minimum_amount
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

NINE_DIGITS, TWELVE_DIGITS = 999_999_999, 999_999_999_999


async def test_cards_take_twelve_digits_and_american_express_nine(shop: Shop) -> None:
    for currency in ("usd", "huf", "idr", "jpy"):
        assert (await shop.pay(TWELVE_DIGITS, currency=currency)).status == "succeeded"
    assert (await shop.pay(NINE_DIGITS, card="pm_card_amex")).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay(NINE_DIGITS + 1, card="pm_card_amex")
    assert (caught.value.code, caught.value.param) == ("amount_too_large", "amount")
    open_intent = await shop.pay(NINE_DIGITS + 1, confirm=False, payment_method=None)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.api.payment_intents.confirm_async(
            open_intent.id, {"payment_method": "pm_card_amex"}, fresh_key()
        )
    assert caught.value.code == "amount_too_large"


@pytest.mark.parametrize(
    ("currency", "right", "wrong"),
    [("isk", 50_000, 50_001), ("ugx", 500_000, 500_050), ("kwd", 5_120, 5_124)],
)
async def test_charges_captures_and_refunds_have_steps(
    shop: Shop, currency: str, right: int, wrong: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="evenly divisible"):
        await shop.pay(wrong, currency=currency)
    held = await shop.authorize(right, currency=currency)
    with pytest.raises(stripe.InvalidRequestError, match="evenly divisible"):
        await shop.capture(held.id, right - 1)
    await shop.capture(held.id)
    with pytest.raises(stripe.InvalidRequestError, match="evenly divisible"):
        await shop.refund(held.id, right - 1)
    assert (await shop.refund(held.id)).amount == right
    transaction = shop.twin.books()["default"]["balance_transactions"][0]
    assert transaction["net"] % 10 == 0, "fees are as whole as the currency"


@pytest.mark.parametrize("currency", ["huf", "twd"])
async def test_what_is_charged_with_decimals_is_paid_out_without(
    shop: Shop, twin: Twin, currency: str
) -> None:
    await shop.pay(100_045, currency=currency, card="pm_card_bypassPending")
    available = twin.books()["default"]["balances"][currency]["available"]
    assert available % 100
    whole = available // 100 * 100
    with pytest.raises(stripe.InvalidRequestError, match="evenly divisible by 100"):
        await shop.api.payouts.create_async(
            {"amount": available, "currency": currency}, fresh_key()
        )
    part = await shop.api.payouts.create_async({"amount": 1_000, "currency": currency}, fresh_key())
    assert part.amount == 1_000
    assert twin.pay_out(currency=currency)["amount"] == whole - 1_000


def test_amounts_below_the_smallest_charge_are_known_per_currency() -> None:
    assert [minimum_amount(code) for code in ("usd", "huf", "ron", "krw", "xof")] == [
        50,
        17_500,
        200,
        50,
        50,
    ]
