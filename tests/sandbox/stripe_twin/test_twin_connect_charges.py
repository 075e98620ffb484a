"""Direct and destination charges: who gets which money."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.settings import Conversion
from tests.sandbox.stripe_twin.merchants import new_account, onboarded_account
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def test_a_direct_charge_is_on_the_connected_account(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    paid = await shop.pay(10_000, options=fresh_key(account_id), application_fee_amount=500)

    with pytest.raises(stripe.InvalidRequestError):
        await shop.api.payment_intents.retrieve_async(paid.id)
    own = await shop.api.accounts.retrieve_current_async(None, {"stripe_account": account_id})
    assert own.id == account_id
    books = twin.books()["default"]
    connected = books["connected"][account_id]
    assert connected["balances"]["usd"]["pending"] == 10_000 - 320 - 500
    assert books["balances"]["usd"]["pending"] == 500
    kinds = [part["type"] for part in connected["balance_transactions"][0]["fee_details"]]
    assert kinds == ["stripe_fee", "application_fee"]


async def test_a_destination_charge_passes_money_on(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    paid = await shop.pay(
        10_000, transfer_data={"destination": account_id}, application_fee_amount=1_000
    )

    books = twin.books()["default"]
    assert [item["type"] for item in books["balance_transactions"]] == [
        "charge",
        "transfer",
        "application_fee",
    ]
    # The platform pays Stripe's fee and keeps its own.
    assert books["balances"]["usd"]["pending"] == 10_000 - 320 - 10_000 + 1_000
    assert books["connected"][account_id]["balances"]["usd"]["pending"] == 9_000
    charge = await shop.api.charges.retrieve_async(
        str(paid.latest_charge), {"expand": ["transfer", "application_fee"]}
    )
    assert problems(stripe.Charge, charge.to_dict()) == []
    assert isinstance(charge.transfer, stripe.Transfer)
    assert charge.transfer.amount == 10_000
    assert isinstance(charge.application_fee, stripe.ApplicationFee)
    assert charge.application_fee.account == account_id


async def test_a_destination_needs_the_transfers_capability(shop: Shop) -> None:
    account = await new_account(shop)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay(transfer_data={"destination": account.id})
    assert caught.value.code == "insufficient_capabilities_for_transfer"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay(transfer_data={"destination": "acct_unknown"})
    assert caught.value.code == "resource_missing"


async def _refunded(shop: Shop, intent: str, amount: int, **more: bool) -> stripe.Refund:
    params: Any = {
        "payment_intent": intent,
        "amount": amount,
        "expand": ["transfer_reversal.transfer", "charge.application_fee"],
        **more,
    }
    return await shop.api.refunds.create_async(params, fresh_key())


async def test_a_fee_at_capture_is_capped_at_what_is_captured(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    held = {"transfer_data": {"destination": account_id}, "application_fee_amount": 1_000}
    for captured, given, taken in ((400, None, 400), (600, 250, 250), (600, 0, 0), (600, 700, 600)):
        more = {} if given is None else {"application_fee_amount": given}
        intent = await shop.authorize(2_000, **held)
        await shop.capture(intent.id, captured, **more)
        charge = await shop.charge_of(intent.id)
        fee = charge.application_fee
        assert (fee is not None) is (taken > 0)
        if fee is not None:
            assert twin.state.locate("application_fee", str(fee))[1]["amount"] == taken
    intent = await shop.authorize(2_000)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.capture(intent.id, 1_000, application_fee_amount=10)
    assert caught.value.param == "application_fee_amount"


async def test_a_refund_takes_back_in_proportion_and_the_last_one_all(
    shop: Shop, twin: Twin
) -> None:
    account_id = await onboarded_account(shop)
    paid = await shop.pay(
        1_000, transfer_data={"destination": account_id}, application_fee_amount=101
    )
    both = {"reverse_transfer": True, "refund_application_fee": True}
    seen = []
    for amount in (333, 333, 334):
        refund = await _refunded(shop, paid.id, amount, **both)
        assert problems(stripe.Refund, refund.to_dict()) == []
        reversal, charge = refund.transfer_reversal, refund.charge
        assert isinstance(reversal, stripe.TransferReversal)
        assert isinstance(reversal.transfer, stripe.Transfer)
        assert isinstance(charge, stripe.Charge)
        fee = charge.application_fee
        assert isinstance(fee, stripe.ApplicationFee)
        seen.append((reversal.amount, reversal.transfer.amount_reversed, fee.amount_refunded))
    assert seen == [(333, 333, 34), (333, 666, 68), (334, 1_000, 101)]
    books = twin.books()["default"]
    # What is left is Stripe's fee; the connected account is where it was.
    assert sum(books["balances"]["usd"].values()) == -(29 + 30)
    assert sum(books["connected"][account_id]["balances"]["usd"].values()) == 0


async def test_without_reversal_the_platform_pays_and_keeps_its_fee(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    paid = await shop.pay(
        1_000, transfer_data={"destination": account_id}, application_fee_amount=100
    )
    await _refunded(shop, paid.id, 400)
    await _refunded(shop, paid.id, 200, reverse_transfer=True)
    books = twin.books()["default"]
    assert sum(books["balances"]["usd"].values()) == 1_000 - 59 - 1_000 + 100 - 600 + 200
    assert sum(books["connected"][account_id]["balances"]["usd"].values()) == 900 - 200
    failed = await _refunded(shop, paid.id, 400, reverse_transfer=True)
    twin.fail_refund(failed.id)
    # The refund's money is back; what the refund took back of the transfer stays.
    books = twin.books()["default"]
    assert sum(books["connected"][account_id]["balances"]["usd"].values()) == 900 - 1_000


async def test_what_is_not_there_cannot_be_taken_back(shop: Shop) -> None:
    account_id = await onboarded_account(shop)
    plain = await shop.pay(1_000)
    free = await shop.pay(1_000, transfer_data={"destination": account_id})
    paid = await shop.pay(
        1_000, transfer_data={"destination": account_id}, application_fee_amount=100
    )
    for intent, more, param in (
        (plain, {"reverse_transfer": True}, "reverse_transfer"),
        (plain, {"refund_application_fee": True}, "refund_application_fee"),
        (
            free,
            {"reverse_transfer": True, "refund_application_fee": True},
            "refund_application_fee",
        ),
        (paid, {"refund_application_fee": True}, "refund_application_fee"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await _refunded(shop, intent.id, 100, **more)
        assert caught.value.param == param


async def test_a_converted_destination_charge_goes_on_as_what_it_settled_in(
    shop: Shop, twin: Twin
) -> None:
    twin.settings.conversions = {"cad": Conversion(currency="usd", rate=0.73)}
    account_id = await onboarded_account(shop)
    paid = await shop.pay(
        1_001,
        currency="cad",
        transfer_data={"destination": account_id},
        application_fee_amount=101,
    )
    await _refunded(shop, paid.id, 500, reverse_transfer=True, refund_application_fee=True)
    books = twin.books()["default"]
    moved = [(item["type"], item["amount"]) for item in books["balance_transactions"]]
    assert moved == [
        ("charge", 731),
        ("transfer", -731),
        ("application_fee", 74),
        ("refund", -365),
        ("application_fee_refund", -37),
        ("transfer_refund", 365),
    ]
    assert set(books["balances"]) == {"usd"}
    assert sum(books["connected"][account_id]["balances"]["usd"].values()) == 731 - 74 - 365 + 37
