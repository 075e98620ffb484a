"""Taking over what Stripe says of a payout, also of those that its schedule made.

One that carries a request of ours which is not known was lost with the database's last commits: it
comes back with that request, which is answered with it from then on.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.bookkeeping.reporting import enqueue
from gateway.identity import RequestIdentity
from gateway.ids import RequestMetadata, derived_id
from gateway.merchants.store import MerchantStore
from gateway.operations import store as operation_store
from gateway.operations.gate import LossGuard
from gateway.operations.lost import LostRequests
from gateway.operations.requests import MERCHANT_REQUEST, PAYOUT_REQUEST, remember_carried
from gateway.payouts import store
from gateway.payouts.domain import (
    Payout,
    UnreadablePayoutError,
    as_stripe_says,
    made_elsewhere,
    next_look_time,
    payout_facts,
)
from gateway.stripe_client.client import StripeClient
from gateway.stripe_times import made_time
from gateway.webhooks_in.event import (
    EventHandler,
    OutsideUnavailable,
    PoisonEventError,
    StripeEvent,
    object_of,
)
from runtime.clock import Clock

# What the engine finds its own payouts by.
PAYOUT_KEY = "engine_payout_id"
REQUEST_KEY = "engine_request_id"
CREATED_BY = "CreatePayoutRequest"
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
        guard: LossGuard,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._merchants = merchants
        self._identity = identity
        self._guard = guard
        self._lost = LostRequests(engine, guard, PAYOUT_REQUEST)
        self._lost_merchants = LostRequests(engine, guard, MERCHANT_REQUEST)
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with."""
        return dict.fromkeys(EVENT_TYPES, self.apply)

    async def apply(self, event: StripeEvent) -> None:
        """Looks at the payout, if it is the platform's or of a merchant of ours."""
        account = event.stripe_account
        if account is not None and await self._merchant_of(event.corridor, account) is None:
            await self._wait_if_lost(event, account)
            return
        outcome = await self._stripe.records.retrieve_payout(
            event.corridor, event.object_id, connected_account=account
        )
        payout = object_of(outcome)
        # Told before it is written down: whoever fails in between finds it lost the next time, too.
        if carried_request(payout, self._identity) and await self._lost.has_lost(payout):
            await self._lost.tell(payout)
        await self.take_payout(event.corridor, payout, account)

    async def _wait_if_lost(self, event: StripeEvent, account: str) -> None:
        """The payout of a merchant that is lost, too, waits until that is known again."""
        if not await self._lost.has_lost(event.object):
            return
        merchant = object_of(await self._stripe.accounts.retrieve_account(event.corridor, account))
        if await self._lost_merchants.has_lost(merchant):
            await self._lost_merchants.tell(merchant)
            raise OutsideUnavailable("MERCHANT_LOST")

    async def _merchant_of(self, corridor: str, account: str) -> str | None:
        """The merchant whose connected account this is; None if it is none of ours in this
        corridor, and so not ours to look at."""
        merchant = await self._merchants.by_account(account)
        if merchant is None or merchant.message.corridor != corridor:
            return None
        return merchant.message.merchant_id

    async def take_payout(
        self, corridor: str, stripe_payout: Mapping[str, Any], stripe_account: str | None
    ) -> bool:
        """Takes over what Stripe says of a payout of the platform, or of a merchant of ours;
        whether the database had lost the request for it."""
        merchant_id: str | None = ""
        if stripe_account is not None:
            merchant_id = await self._merchant_of(corridor, stripe_account)
        if merchant_id is None:
            return False
        now = self._clock.now()
        async with self._engine.begin() as connection:
            before = await self._known(connection, corridor, stripe_payout, stripe_account or "")
            try:
                if before is None:
                    payout_id, request_id = await self._name(connection, stripe_payout)
                    asked_for = made_time(stripe_payout) if request_id else None
                    before = made_elsewhere(
                        stripe_payout,
                        payout_id=payout_id,
                        request_id=request_id,
                        merchant_id=merchant_id,
                        corridor=corridor,
                        account_id=stripe_account or "",
                        now=asked_for or now,
                    )
                    await store.add(connection, before)
                await self.write(connection, before, stripe_payout, now)
                return await self._remember(connection, before, stripe_payout, now)
            except UnreadablePayoutError as error:
                raise PoisonEventError("PAYOUT_UNREADABLE") from error

    async def _remember(
        self,
        connection: AsyncConnection,
        payout: Payout,
        stripe_payout: Mapping[str, Any],
        now: datetime,
    ) -> bool:
        """Writes down the request that the payout carries, if it is lost; whether it was."""
        carried = carried_request(stripe_payout, self._identity)
        if carried is None or carried.request_id != payout.request_id:
            return False
        created = made_time(stripe_payout) or now
        return await remember_carried(
            connection, PAYOUT_REQUEST, carried, CREATED_BY, payout.id, None, created
        )

    async def _name(
        self, connection: AsyncConnection, stripe_payout: Mapping[str, Any]
    ) -> tuple[str, str]:
        """The id and the request of a payout that the database does not know. One that it has lost
        keeps its own, which the request's id proves: metadata can be copied."""
        metadata = stripe_payout.get("metadata") or {}
        ours, request_id = str(metadata.get(PAYOUT_KEY)), str(metadata.get(REQUEST_KEY))
        is_ours = ours == _payout_id(self._identity, request_id)
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
            await store.set_next_look(connection, after.id, next_look_time(after, now))
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


def carried_request(
    stripe_payout: Mapping[str, Any], identity: RequestIdentity
) -> RequestMetadata | None:
    """The request that one of Stripe's payouts was made for, if this deployment has made it, which
    the payout's id proves: metadata can be copied."""
    metadata: Mapping[str, str] = stripe_payout.get("metadata") or {}
    carried = RequestMetadata.read_whole(metadata)
    if carried is None or carried.deployment != identity.deployment:
        return None
    named = metadata.get(PAYOUT_KEY) == _payout_id(identity, carried.request_id)
    return carried if named else None


def _payout_id(identity: RequestIdentity, request_id: str) -> str:
    return identity.named("pyo", CREATED_BY, request_id)
