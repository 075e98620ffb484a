"""What tests do at Stripe over and over, through the real SDK."""

import itertools
from typing import Any

import stripe

from sandbox.stripe_twin import Twin

_sequence = itertools.count(1)


def fresh_key(account: str | None = None) -> stripe.RequestOptions:
    """Options with an idempotency key that was not used before."""
    options = stripe.RequestOptions(idempotency_key=f"key-{next(_sequence)}")
    if account is not None:
        options["stripe_account"] = account
    return options


class Shop:
    """A merchant: the SDK's client and short names for the common calls."""

    def __init__(self, client: stripe.StripeClient, twin: Twin) -> None:
        self.client = client
        self.twin = twin
        self.api = client.v1

    async def pay(
        self,
        amount: int = 2_000,
        card: str = "pm_card_visa",
        options: stripe.RequestOptions | None = None,
        **more: Any,
    ) -> stripe.PaymentIntent:
        """Creates and confirms a PaymentIntent."""
        params: Any = {
            "amount": amount,
            "currency": "usd",
            "confirm": True,
            "payment_method": card,
            "allowed_payment_method_types": ["card"],
            **more,
        }
        return await self.api.payment_intents.create_async(params, options or fresh_key())

    async def authorize(self, amount: int = 2_000, **more: Any) -> stripe.PaymentIntent:
        """Holds an amount for a later capture."""
        return await self.pay(amount, capture_method="manual", **more)

    async def capture(
        self, intent_id: str, amount: int | None = None, **more: Any
    ) -> stripe.PaymentIntent:
        """Captures all or `amount` of what was authorised."""
        params: Any = more if amount is None else {"amount_to_capture": amount, **more}
        return await self.api.payment_intents.capture_async(intent_id, params, fresh_key())

    async def refund(self, intent_id: str, amount: int | None = None) -> stripe.Refund:
        """Refunds all that is left or `amount` of a payment."""
        params: Any = {"payment_intent": intent_id}
        if amount is not None:
            params["amount"] = amount
        return await self.api.refunds.create_async(params, fresh_key())

    async def charge_of(self, intent_id: str) -> stripe.Charge:
        """The latest charge of a PaymentIntent."""
        intent = await self.api.payment_intents.retrieve_async(
            intent_id, {"expand": ["latest_charge.balance_transaction"]}
        )
        charge = intent.latest_charge
        assert isinstance(charge, stripe.Charge)
        return charge

    async def event_types(self) -> list[str]:
        """The types of all events so far, oldest first."""
        events = await self.api.events.list_async({"limit": 100})
        return [event.type for event in reversed(events.data)]
