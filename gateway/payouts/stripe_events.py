"""Taking over what Stripe says of a payout, also of those that its schedule made."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.bookkeeping.reporting import enqueue
from gateway.identity import RequestIdentity
from gateway.ids import derived_id
from gateway.merchants.store import MerchantStore
from gateway.operations import store as operation_store
from gateway.payouts import store
from gateway.payouts.domain import (
    Payout,
    UnreadablePayoutError,
    as_stripe_says,
    made_elsewhere,
    payout_facts,
)
from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.event import EventHandler, PoisonEventError, StripeEvent, object_of
from runtime.clock import Clock

# What the engine finds its own payouts by.
PAYOUT_KEY = "engine_payout_id"
REQUEST_KEY = "engine_request_id"
_CREATED_BY = "CreatePayoutRequest"
EVENT_TYPES = (
    *("payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled"),
    "payout.reconciliation_completed",
)


class Payouts:
    """The handler of events about payouts, and what else learns of them goes through it."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        merchants: MerchantStore,
        identity: RequestIdentity,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._merchants = merchants
        self._identity = identity
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with."""
        return dict.fromkeys(EVENT_TYPES, self.apply)

    async def apply(self, event: StripeEvent) -> None:
        """Looks at the payout, if it is the platform's or of a merchant of ours."""
        account = event.stripe_account
        if account is not None and await self._merchant_of(event.corridor, account) is None:
            return
        outcome = await self._stripe.records.retrieve_payout(
            event.corridor, event.object_id, connected_account=account
        )
        await self.take_payout(event.corridor, object_of(outcome), account)

    async def _merchant_of(self, corridor: str, account: str) -> str | None:
        """The merchant whose connected account this is; None if it is none of ours in this
        corridor, and so not ours to look at."""
        merchant = await self._merchants.by_account(account)
        if merchant is None or merchant.message.corridor != corridor:
            return None
        return merchant.message.merchant_id

    async def take_payout(
        self, corridor: str, stripe_payout: Mapping[str, Any], stripe_account: str | None
    ) -> None:
        """Takes over what Stripe says of a payout of the platform, or of a merchant of ours."""
        merchant_id: str | None = ""
        if stripe_account is not None:
            merchant_id = await self._merchant_of(corridor, stripe_account)
        if merchant_id is None:
            return
        now = self._clock.now()
        async with self._engine.begin() as connection:
            before = await self._known(connection, corridor, stripe_payout, stripe_account or "")
            try:
                if before is None:
                    payout_id, request_id = await self._name(connection, stripe_payout)
                    before = made_elsewhere(
                        stripe_payout,
                        payout_id=payout_id,
                        request_id=request_id,
                        merchant_id=merchant_id,
                        corridor=corridor,
                        account_id=stripe_account or "",
                        now=now,
                    )
                    await store.add(connection, before)
                await self.write(connection, before, stripe_payout, now)
            except UnreadablePayoutError as error:
                raise PoisonEventError("PAYOUT_UNREADABLE") from error

    async def _name(
        self, connection: AsyncConnection, stripe_payout: Mapping[str, Any]
    ) -> tuple[str, str]:
        """The id and the request of a payout that the database does not know. One that it has lost
        keeps its own, which the request's id proves: metadata can be copied."""
        metadata = stripe_payout.get("metadata") or {}
        ours, request_id = str(metadata.get(PAYOUT_KEY)), str(metadata.get(REQUEST_KEY))
        is_ours = ours == self._identity.named("pyo", _CREATED_BY, request_id)
        if is_ours and await store.get(connection, ours) is None:
            return ours, request_id
        return derived_id("pyo", str(stripe_payout["id"])), ""

    async def write(
        self,
        connection: AsyncConnection,
        before: Payout,
        stripe_payout: Mapping[str, Any],
        now: datetime,
    ) -> Payout:
        """Writes what Stripe says of a payout that the caller has locked."""
        after = as_stripe_says(before, stripe_payout, now)
        if after != before:
            await store.save(connection, after)
            await operation_store.hurry(connection, after.id, now)
        for fact in payout_facts(after, now):
            await enqueue(connection, fact, now)
        return after

    @staticmethod
    async def _known(
        connection: AsyncConnection,
        corridor: str,
        stripe_payout: Mapping[str, Any],
        account_id: str,
    ) -> Payout | None:
        """Our row of it: by Stripe's id or, before our own commit has brought that, by ours."""
        known = await store.lock_of_stripe(connection, corridor, str(stripe_payout["id"]))
        ours = (stripe_payout.get("metadata") or {}).get(PAYOUT_KEY)
        if known is not None or not isinstance(ours, str):
            return known
        named = await store.lock(connection, ours)
        # Metadata can be copied: only the payout that has no other is meant.
        fits = named is not None and (named.corridor, named.account_id) == (corridor, account_id)
        return named if fits and named is not None and not named.stripe_payout_id else None
