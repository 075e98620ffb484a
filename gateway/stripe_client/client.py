"""Every call that the engine makes to Stripe.

One method per endpoint; each gives an `Outcome` and raises only for mistakes of the caller
(`UnknownCorridorError`, a missing idempotency key). Retries, limits, breaker, deadline and the
mode of the corridor are behind `StripeCalls`.
"""

from collections.abc import Mapping
from datetime import datetime

from gateway.stripe_client.accounts import AccountCalls
from gateway.stripe_client.billing import BillingCalls
from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.customers import CustomerCalls
from gateway.stripe_client.failover import Terms
from gateway.stripe_client.identity import IdentityCalls
from gateway.stripe_client.outcome import Outcome
from gateway.stripe_client.payouts import PayoutCalls
from gateway.stripe_client.records import DisputeCalls, RecordCalls
from gateway.stripe_client.reports import ReportCalls
from gateway.stripe_client.search import find_by_metadata
from gateway.stripe_client.sigma import SigmaCalls

PAYMENT_INTENTS, CHARGES, REFUNDS = "payment_intents", "charges", "refunds"


class StripeClient:
    """The corridors to Stripe.

    `params` are Stripe's own request parameters. `connected_account` is the connected account that
    the call is made for ("acct_…"). `idempotency_key` is the caller's: 1 to 255 characters, the
    same for the same bytes, and never used again for others.
    """

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls
        self.accounts = AccountCalls(calls)
        self.billing = BillingCalls(calls)
        self.customers = CustomerCalls(calls)
        self.disputes = DisputeCalls(calls)
        self.identity = IdentityCalls(calls)
        self.payouts = PayoutCalls(calls)
        self.records = RecordCalls(calls)
        self.reports = ReportCalls(calls)
        self.sigma = SigmaCalls(calls)

    @property
    def corridors(self) -> list[str]:
        """The names of the corridors, sorted."""
        return self._calls.corridors

    @property
    def default_corridor(self) -> str:
        """The corridor for requests that name none."""
        return self._calls.default_corridor

    def available(self, corridor: str, endpoint_group: str = PAYMENT_INTENTS) -> bool:
        """Whether something new would be sent now; what `QUEUE` and `FAIL_FAST` ask."""
        return self._calls.available(corridor, endpoint_group)

    @property
    def terms(self) -> Mapping[str, Terms]:
        """What operators declare about each corridor as a place to charge."""
        return {name: self._calls.corridor_client(name).terms for name in self._calls.corridors}

    def is_slow(self, corridor: str) -> bool:
        """Whether a corridor is so slow that callers are answered before the outcome is known; one
        that is not there is not."""
        return corridor in self._calls.corridors and self._calls.is_slow(corridor)

    def seconds_to_token(self, corridor: str) -> float:
        """How long until a payment that nobody waits for would be sent at once."""
        corridor_client = self._calls.corridor_client(corridor)
        return corridor_client.token_wait_seconds(PAYMENT_INTENTS, Priority.OFF_SESSION)

    def is_live(self, corridor: str) -> bool:
        """Whether real money moves on a corridor."""
        return self._calls.corridor_client(corridor).is_live

    async def create_payment_intent(
        self,
        corridor: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
        resend: bool = False,
        priority: Priority | None = None,
    ) -> Outcome:
        """Creates a PaymentIntent. `resend` says that the key may have reached Stripe before:
        then a drained corridor lets it pass."""
        return await self._calls.post(
            PAYMENT_INTENTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payment_intents.create_async(form(params), options),
            connected_account=connected_account,
            begins=not resend,
            priority=priority,
        )

    async def confirm_payment_intent(
        self,
        corridor: str,
        payment_intent_id: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
        priority: Priority | None = None,
    ) -> Outcome:
        """Confirms a PaymentIntent, after 3-D Secure or with another payment method."""
        return await self._calls.post(
            PAYMENT_INTENTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payment_intents.confirm_async(
                payment_intent_id, form(params), options
            ),
            connected_account=connected_account,
            priority=priority,
            object_id=payment_intent_id,
        )

    async def capture_payment_intent(
        self,
        corridor: str,
        payment_intent_id: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Captures a PaymentIntent that was authorised, whole or in part."""
        return await self._calls.post(
            PAYMENT_INTENTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payment_intents.capture_async(
                payment_intent_id, form(params), options
            ),
            connected_account=connected_account,
            object_id=payment_intent_id,
        )

    async def cancel_payment_intent(
        self,
        corridor: str,
        payment_intent_id: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Cancels a PaymentIntent and with it the hold on the card."""
        return await self._calls.post(
            PAYMENT_INTENTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payment_intents.cancel_async(
                payment_intent_id, form(params), options
            ),
            connected_account=connected_account,
            object_id=payment_intent_id,
        )

    async def retrieve_payment_intent(
        self,
        corridor: str,
        payment_intent_id: str,
        params: Params | None = None,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Reads a PaymentIntent; `{"expand": ["latest_charge.balance_transaction"]}` expands."""
        return await self._calls.get(
            PAYMENT_INTENTS,
            corridor,
            lambda client, options: client.v1.payment_intents.retrieve_async(
                payment_intent_id, form(params), options
            ),
            connected_account=connected_account,
        )

    async def list_payment_intents(
        self, corridor: str, params: Params, *, connected_account: str | None = None
    ) -> Outcome:
        """One page of PaymentIntents, newest first."""
        return await self._calls.get(
            PAYMENT_INTENTS,
            corridor,
            lambda client, options: client.v1.payment_intents.list_async(form(params), options),
            connected_account=connected_account,
        )

    async def find_payment_intents(
        self,
        corridor: str,
        metadata: Mapping[str, str],
        *,
        created_from: datetime,
        created_to: datetime,
        connected_account: str | None = None,
    ) -> Outcome:
        """The PaymentIntents created in a span of time that carry all of `metadata`.

        The object is {"data": […], "complete": bool}; not complete means that the span holds more
        than is looked through: narrow it. Lists and compares instead of using Stripe's search,
        which lags behind writes (https://docs.stripe.com/search#data-freshness).
        """

        async def page(params: Params) -> Outcome:
            return await self.list_payment_intents(
                corridor, params, connected_account=connected_account
            )

        return await find_by_metadata(page, metadata, created_from, created_to)

    async def list_charges(self, corridor: str, params: Params) -> Outcome:
        """One page of charges, newest first: each attempt on a PaymentIntent makes one."""
        return await self._calls.get(
            CHARGES,
            corridor,
            lambda client, options: client.v1.charges.list_async(form(params), options),
        )

    async def retrieve_charge(
        self,
        corridor: str,
        charge_id: str,
        params: Params | None = None,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Reads a charge; `{"expand": ["balance_transaction"]}` brings the fee."""
        return await self._calls.get(
            CHARGES,
            corridor,
            lambda client, options: client.v1.charges.retrieve_async(
                charge_id, form(params), options
            ),
            connected_account=connected_account,
        )

    async def create_refund(
        self,
        corridor: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Refunds a PaymentIntent or charge, whole or in part."""
        return await self._calls.post(
            REFUNDS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.refunds.create_async(form(params), options),
            connected_account=connected_account,
        )

    async def retrieve_refund(
        self,
        corridor: str,
        refund_id: str,
        params: Params | None = None,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Reads a refund."""
        return await self._calls.get(
            REFUNDS,
            corridor,
            lambda client, options: client.v1.refunds.retrieve_async(
                refund_id, form(params), options
            ),
            connected_account=connected_account,
        )

    async def list_refunds(
        self, corridor: str, params: Params, *, connected_account: str | None = None
    ) -> Outcome:
        """One page of refunds; `{"payment_intent": "pi_…"}` selects."""
        return await self._calls.get(
            REFUNDS,
            corridor,
            lambda client, options: client.v1.refunds.list_async(form(params), options),
            connected_account=connected_account,
        )
