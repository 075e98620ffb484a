"""Flows that the twin and localstripe both know, and what is looked at in each."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import stripe

_keys = itertools.count()


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two; `confirming` is what it wants to be told with a confirmation."""

    client: stripe.StripeClient
    session: aiohttp.ClientSession
    url: str
    confirming: dict[str, Any]
    is_twin: bool

    @property
    def api(self) -> Any:
        """The v1 API; untyped, because the two do not take the same parameters."""
        return self.client.v1

    def key(self) -> stripe.RequestOptions:
        """A fresh idempotency key."""
        return {"idempotency_key": f"compare-{next(_keys)}"}

    async def card(self, number: str) -> str:
        """A payment method with this number."""
        details = {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        params = {"type": "card", "card": details}
        return str((await self.api.payment_methods.create_async(params, self.key())).id)

    async def pay(self, number: str = "4242424242424242", **more: Any) -> Any:
        """Creates and confirms a payment of 10.00 EUR."""
        params = {
            "amount": 1_000,
            "currency": "eur",
            "confirm": True,
            "payment_method": await self.card(number),
            **self.confirming,
            **more,
        }
        return await self.api.payment_intents.create_async(params, self.key())

    async def charge_of(self, intent: Any) -> Any:
        """The latest charge of an intent; localstripe always shows it whole."""
        charge = intent.latest_charge
        if isinstance(charge, str):
            return await self.api.charges.retrieve_async(charge)
        return await self.api.charges.retrieve_async(charge.id)

    async def authenticate(self, intent: Any) -> None:
        """Plays the customer who passes 3-D Secure."""
        if self.is_twin:
            address = f"{self.url}/_twin/authenticate/{intent.id}/succeed"
            body = None
        else:
            address = f"{self.url}/v1/payment_intents/{intent.id}/_authenticate"
            body = {"client_secret": intent.client_secret, "success": "true"}
        async with self.session.post(address, data=body) as response:
            response.raise_for_status()


Observation = dict[str, object]
Flow = Callable[[Side], Awaitable[Observation]]


async def refusal(request: Awaitable[Any]) -> str:
    """How a request is refused, or that it is not."""
    try:
        await request
    except stripe.StripeError as error:
        code = error.error.code if error.error is not None else None
        return f"{error.http_status} {code or '-'}"
    return "accepted"


async def a_payment(side: Side) -> Observation:
    """A card that pays."""
    paid = await side.pay()
    charge = await side.charge_of(paid)
    events = await side.api.events.list_async({"type": "payment_intent.succeeded"})
    return {
        "status": paid.status,
        "the charge is an id": isinstance(paid.latest_charge, str),
        "charge": (charge.status, charge.amount, charge.captured),
        "capture method": paid.capture_method,
        "events": len(events.data),
    }


async def refused_cards(side: Side) -> Observation:
    """Cards that are declined, at the charge or already when they are kept."""
    customer = (await side.api.customers.create_async({}, side.key())).id
    attach = side.api.payment_methods.attach_async
    return {
        "declines at the charge": await refusal(side.pay("4000000000000341")),
        "declines when attached": await refusal(
            attach(await side.card("4000000000009995"), {"customer": customer}, side.key())
        ),
        "generic decline at the charge": await refusal(side.pay("4000000000000002")),
        "expired": await refusal(side.pay("4000000000000069")),
    }


async def three_d_secure(side: Side) -> Observation:
    """A card that wants authentication."""
    waiting = await side.pay("4000002760003184")
    await side.authenticate(waiting)
    done = await side.api.payment_intents.retrieve_async(waiting.id)
    failing = await side.pay("4000008260003178")
    return {
        "waits": (waiting.status, waiting.next_action["type"]),
        "authenticated": done.status,
        "insufficient funds": failing.status,
    }


async def manual_capture(side: Side) -> Observation:
    """A hold that is captured in part."""
    held = await side.pay(capture_method="manual")
    captured = await side.api.payment_intents.capture_async(
        held.id, {"amount_to_capture": 400}, side.key()
    )
    charge = await side.charge_of(held)
    refunds = await side.api.refunds.list_async({"payment_intent": held.id})
    return {
        "held": held.status,
        "captured": captured.status,
        "refunded of the charge": charge.amount_refunded,
        "refunds": len(refunds.data),
    }


async def cancellation(side: Side) -> Observation:
    """What is canceled stays so."""
    held = await side.pay(capture_method="manual")
    canceled = await side.api.payment_intents.cancel_async(held.id, None, side.key())
    paid = await side.pay()
    cancel, capture = side.api.payment_intents.cancel_async, side.api.payment_intents.capture_async
    return {
        "canceled": canceled.status,
        "capture afterwards": await refusal(capture(held.id, None, side.key())),
        "of what was paid": await refusal(cancel(paid.id, None, side.key())),
    }


async def refunds(side: Side) -> Observation:
    """A part, the rest, and more than there is."""
    paid = await side.pay()
    create = side.api.refunds.create_async
    part = await create({"payment_intent": paid.id, "amount": 300}, side.key())
    charge = await side.charge_of(paid)
    too_much = await refusal(create({"payment_intent": paid.id, "amount": 800}, side.key()))
    rest = await refusal(create({"payment_intent": paid.id}, side.key()))
    return {
        "part": (part.status, part.amount),
        "of the charge": (charge.amount_refunded, charge.refunded),
        "more than is left": too_much,
        "the rest": rest,
    }


async def money(side: Side) -> Observation:
    """What the books say of one payment."""
    paid = await side.pay()
    charge = await side.charge_of(paid)
    entry = await side.api.balance_transactions.retrieve_async(charge.balance_transaction)
    balance = await side.api.balance.retrieve_async()
    return {
        "entry": (entry.type, entry.amount),
        "fee": entry.fee,
        "status": entry.status,
        "the balance is a list": isinstance(balance.available, list),
    }


async def customers(side: Side) -> Observation:
    """Customers and the cards that they keep."""
    customer = (await side.api.customers.create_async({"name": "Ada"}, side.key())).id
    method = await side.card("4242424242424242")
    await side.api.payment_methods.attach_async(method, {"customer": customer}, side.key())
    kept = await side.api.payment_methods.list_async({"customer": customer, "type": "card"})
    await side.api.payment_methods.detach_async(method, None, side.key())
    left = await side.api.payment_methods.list_async({"customer": customer, "type": "card"})
    again = {"customer": customer}
    reused = side.api.payment_methods.attach_async(method, again, side.key())
    reused_detached = await refusal(reused)
    await side.api.customers.delete_async(customer, None, side.key())
    gone = side.api.customers.retrieve_async(customer)
    return {
        "kept and left": (len(kept.data), len(left.data)),
        "a detached card is attached": reused_detached,
        "a deleted one is retrieved": await refusal(gone),
        "nobody": await refusal(side.api.customers.retrieve_async("cus_nobody")),
    }


async def setups(side: Side) -> Observation:
    """SetupIntents that succeed, wait, and are refused."""

    async def confirmed(number: str) -> Any:
        created = await side.api.setup_intents.create_async({}, side.key())
        params: dict[str, Any] = {"payment_method": await side.card(number)}
        if side.is_twin:
            params["return_url"] = "https://shop.test/"
        return await side.api.setup_intents.confirm_async(created.id, params, side.key())

    return {
        "succeeds": (await confirmed("4242424242424242")).status,
        "waits": (await confirmed("4000002500003155")).status,
        "refused": await refusal(confirmed("4000000000000002")),
    }


async def the_api(side: Side) -> Observation:
    """What every request has."""
    key = side.key()
    params = {"amount": 500, "currency": "eur"}
    first = await side.api.payment_intents.create_async(params, key)
    second = await side.api.payment_intents.create_async(params, key)
    create, retrieve = (
        side.api.payment_intents.create_async,
        side.api.payment_intents.retrieve_async,
    )
    return {
        "a key gives the first answer again": first.id == second.id,
        "a key with other parameters": await refusal(create({**params, "amount": 600}, key)),
        "an unknown parameter": await refusal(create({**params, "colour": "red"}, side.key())),
        "a missing parameter": await refusal(create({"amount": 500}, side.key())),
        "a negative amount": await refusal(create({**params, "amount": -5}, side.key())),
        "too small an amount": await refusal(create({**params, "amount": 1}, side.key())),
        "nothing there": await refusal(retrieve("pi_nothing")),
    }


FLOWS: tuple[Flow, ...] = (
    a_payment,
    refused_cards,
    three_d_secure,
    manual_capture,
    cancellation,
    refunds,
    money,
    customers,
    setups,
    the_api,
)
