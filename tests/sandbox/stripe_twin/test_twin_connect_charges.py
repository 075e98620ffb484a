"""Direct and destination charges: who gets which money."""

import pytest
import stripe

from sandbox.stripe_twin import Twin
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
