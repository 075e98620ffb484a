"""Fetching what Stripe says of a connected account, and keeping it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.merchants.snapshot import MAX_ITEMS, content_of, hash_of, snapshot_of
from gateway.merchants.store import MerchantStore
from gateway.rails.outcome import Outcome, OutcomeClass
from gateway.rails.rails import Rails
from gateway.v1 import merchant_pb2
from runtime.clock import Clock

# How Stripe says that an account is not, or no longer, ours to look at.
ACCOUNT_GONE_CODES = frozenset({"account_invalid", "resource_missing"})


class FetchFailed(Exception):  # noqa: N818 — carries an outcome, which says what kind of end it is
    """Stripe did not give what was asked for."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.outcome_class.value)
        self.outcome = outcome

    @property
    def account_is_gone(self) -> bool:
        """Whether Stripe says that the platform may not act for the account."""
        failure = self.outcome.failure
        return (
            self.outcome.outcome_class is OutcomeClass.REJECTED
            and failure is not None
            and failure.code in ACCOUNT_GONE_CODES
        )


class MerchantSync:
    """Brings the stored snapshot of a merchant up to date."""

    def __init__(self, rails: Rails, store: MerchantStore, clock: Clock) -> None:
        self._rails = rails
        self._store = store
        self._clock = clock

    async def sync(self, merchant: merchant_pb2.Merchant) -> bool:
        """Fetches and keeps; whether the content differs from what was kept before.

        Raises `FetchFailed`.
        """
        # Taken before the first request: what is fetched is at least as new as this.
        fetch_time = self._clock.now()
        snapshot = await self.fetch(merchant.corridor, merchant.stripe_account_id)
        content_hash = hash_of(content_of(snapshot))
        return await self._store.save_snapshot(
            merchant.merchant_id, snapshot, content_hash, fetch_time
        )

    async def fetch(self, corridor: str, account_id: str) -> merchant_pb2.AccountSnapshot:
        """What Stripe says now. Raises `FetchFailed`."""
        accounts = self._rails.accounts
        account, capabilities = await asyncio.gather(
            accounts.retrieve_account(corridor, account_id),
            accounts.list_capabilities(corridor, account_id),
        )
        account_object, capability_list = _object_of(account), _object_of(capabilities)
        external = account_object.get("external_accounts") or {"data": [], "has_more": False}
        if external["has_more"]:
            external = _object_of(
                await accounts.list_external_accounts(corridor, account_id, {"limit": MAX_ITEMS})
            )
        return snapshot_of(
            account_object,
            capability_list["data"],
            external["data"],
            live_mode=self._rails.is_live(corridor),
            complete=not (capability_list["has_more"] or external["has_more"]),
        )


def _object_of(outcome: Outcome) -> Mapping[str, Any]:
    if outcome.object is None:
        raise FetchFailed(outcome)
    return outcome.object
