"""The calls to Stripe that pay out; conventions as in `StripeClient`."""

from collections.abc import Mapping
from datetime import datetime

from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome
from gateway.stripe_client.records import PAYOUTS
from gateway.stripe_client.search import find_by_metadata


class PayoutCalls:
    """Payouts from an account's balance to its bank."""

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def create_payout(
        self,
        corridor: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
        resend: bool = False,
    ) -> Outcome:
        """Creates a payout. `resend` says that the key may have reached Stripe before: then a
        drained corridor lets it pass."""
        return await self._calls.post(
            PAYOUTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payouts.create_async(form(params), options),
            connected_account=connected_account,
            begins=not resend,
            priority=Priority.BACKGROUND,
        )

    async def cancel_payout(
        self,
        corridor: str,
        payout_id: str,
        params: Params,
        idempotency_key: str,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Cancels a payout that is still pending."""
        return await self._calls.post(
            PAYOUTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.payouts.cancel_async(
                payout_id, form(params), options
            ),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def list_payouts(
        self, corridor: str, params: Params, *, connected_account: str | None = None
    ) -> Outcome:
        """One page of payouts, newest first."""
        return await self._calls.get(
            PAYOUTS,
            corridor,
            lambda client, options: client.v1.payouts.list_async(form(params), options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def find_payouts(
        self,
        corridor: str,
        metadata: Mapping[str, str],
        *,
        created_from: datetime,
        created_to: datetime,
        connected_account: str | None = None,
    ) -> Outcome:
        """The payouts created in a span of time that carry all of `metadata`; answers as
        `StripeClient.find_payment_intents` does."""

        async def page(params: Params) -> Outcome:
            return await self.list_payouts(corridor, params, connected_account=connected_account)

        return await find_by_metadata(page, metadata, created_from, created_to)
