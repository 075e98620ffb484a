"""The calls to Stripe that read Billing; conventions as in `StripeClient`.

https://docs.stripe.com/api/invoices, https://docs.stripe.com/api/subscriptions
"""

from collections.abc import Awaitable, Callable
from typing import Any

import stripe

from gateway.stripe_client.call import Options, Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome

BILLING = "billing"
# By the name that Stripe gives an object. All of these services are called alike.
_SERVICES: dict[str, Callable[[stripe.StripeClient], Any]] = {
    "invoice": lambda client: client.v1.invoices,
    "invoice_payment": lambda client: client.v1.invoice_payments,
    "credit_note": lambda client: client.v1.credit_notes,
    "subscription": lambda client: client.v1.subscriptions,
    "subscription_item": lambda client: client.v1.subscription_items,
}


class BillingCalls:
    """Invoices, invoice payments, credit notes, subscriptions. Only reads, for which no customer
    waits."""

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def retrieve(self, corridor: str, kind: str, object_id: str) -> Outcome:
        """Reads one object; `kind` is Stripe's name of what it is ("invoice")."""

        def send(client: stripe.StripeClient, options: Options) -> Awaitable[Any]:
            found: Awaitable[Any] = _SERVICES[kind](client).retrieve_async(object_id, None, options)
            return found

        return await self._get(corridor, send)

    async def list(self, corridor: str, kind: str, params: Params) -> Outcome:
        """One page of such objects, newest first."""

        def send(client: stripe.StripeClient, options: Options) -> Awaitable[Any]:
            found: Awaitable[Any] = _SERVICES[kind](client).list_async(form(params), options)
            return found

        return await self._get(corridor, send)

    async def _get(self, corridor: str, send: Any) -> Outcome:
        return await self._calls.get(BILLING, corridor, send, priority=Priority.BACKGROUND)
