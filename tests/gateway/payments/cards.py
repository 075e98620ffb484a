"""Cards that customers have saved at the Stripe twin, and banks that change their mind."""

import itertools

import aiohttp

from gateway.v1.payment_pb2 import PaymentMethod
from sandbox.stripe_twin.cards import CARDS_BY_TOKEN
from sandbox.stripe_twin.twin import Twin

_numbers = itertools.count(1)


async def saved_card(twin: Twin, card: str) -> PaymentMethod:
    """A card (`visa` is what `pm_card_visa` makes) that a new customer has saved."""
    customer = await _post(twin, "/v1/customers", {})
    attached = await _post(
        twin, f"/v1/payment_methods/pm_card_{card}/attach", {"customer": customer}
    )
    return PaymentMethod(token=attached, stripe_customer_id=customer)


def bank_treats_as(twin: Twin, card: PaymentMethod, other: str) -> None:
    """From now on the card's bank answers as that of the test card `other` does."""
    twin.account().cards[card.token].card = CARDS_BY_TOKEN[other]


async def _post(twin: Twin, path: str, fields: dict[str, str]) -> str:
    headers = {
        "Authorization": f"Bearer {twin.account().secret_key}",
        "Idempotency-Key": f"cards-{next(_numbers)}",
    }
    async with (
        aiohttp.ClientSession(twin.url) as session,
        session.post(path, data=fields, headers=headers) as response,
    ):
        response.raise_for_status()
        return str((await response.json())["id"])
