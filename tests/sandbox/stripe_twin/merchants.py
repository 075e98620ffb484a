"""Connected accounts that tests start from."""

from typing import Any

import stripe

from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def new_account(shop: Shop, **more: Any) -> stripe.Account:
    """An account that has asked for capabilities and told nothing of itself."""
    params: Any = {
        "country": "US",
        "type": "custom",
        "capabilities": {
            "card_payments": {"requested": True},
            "transfers": {"requested": True},
        },
        **more,
    }
    return await shop.api.accounts.create_async(params, fresh_key())


async def onboarded_account(shop: Shop) -> str:
    """An account that can take payments and be paid out."""
    account = await new_account(shop)
    shop.twin.complete_onboarding(account.id)
    return account.id
