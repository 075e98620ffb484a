"""Where merchants are paid out to, from the Stripe twin to the merchant's snapshot."""

import asyncio

from gateway.v1 import merchant_pb2
from gateway.v1 import merchant_service_pb2 as pb
from sandbox.stripe_twin.overrides import ExternalAccountState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.at_stripe import at_stripe
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway


async def test_each_change_of_an_external_account_has_the_account_fetched(
    gateway: RunningGateway, twin: Twin
) -> None:
    merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    path = f"/v1/accounts/{merchant.connected_account_id}/external_accounts"
    feed = gateway.merchants.WatchMerchants(
        pb.WatchMerchantsRequest(after_sequence=merchant.snapshot.sequence)
    )

    async def seen() -> list[tuple[str, str, str, bool]]:
        async with asyncio.timeout(20):
            snapshot = (await feed.read()).merchant.snapshot
        return [
            (
                item.kind,
                item.currency_code,
                merchant_pb2.ExternalAccountState.Name(item.state).rsplit("_", 1)[1],
                item.default_for_currency,
            )
            for item in snapshot.external_accounts
        ]

    bank = {"country": "DE", "currency": "eur", "account_number": "DE89370400440532013000"}
    await at_stripe(
        twin,
        path,
        {"external_account[object]": "bank_account"}
        | {f"external_account[{name}]": value for name, value in bank.items()},
    )
    assert await seen() == [("bank_account", "EUR", "NEW", True)]
    card = {"number": "4000056655665556", "exp_month": "12", "exp_year": "2040", "currency": "usd"}
    card_id = (
        await at_stripe(
            twin,
            path,
            {"external_account[object]": "card"}
            | {f"external_account[{name}]": value for name, value in card.items()},
        )
    )["id"]
    assert await seen() == [
        ("bank_account", "EUR", "NEW", True),
        ("card", "USD", "NEW", True),
    ]
    twin.override_external_account(card_id, ExternalAccountState(status="errored"))
    assert await seen() == [
        ("bank_account", "EUR", "NEW", True),
        ("card", "USD", "ERRORED", True),
    ]
    feed.cancel()
