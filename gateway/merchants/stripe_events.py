"""Events about connected accounts are hints: what Stripe says of one is fetched again, and kept."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.merchants.snapshot import (
    MAX_ITEMS,
    MAX_PERSONS,
    content_of,
    hash_of,
    snapshot_of,
)
from gateway.merchants.store import MerchantStore
from gateway.merchants.v2_account import with_v2
from gateway.operations.lost import LostRequests
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass, text_of
from gateway.v1 import merchant_pb2
from gateway.webhooks_in.event import (
    EventHandler,
    OutsideUnavailable,
    PoisonEventError,
    StripeEvent,
)
from runtime.clock import Clock

# Stripe lists 100 at a time: https://docs.stripe.com/api/persons/list
MAX_PERSON_PAGES = MAX_PERSONS // MAX_ITEMS
# A list that Stripe refuses to go on with is read anew so often in all: a page goes on from a
# person, who may have been deleted since.
MAX_PERSON_READS = 2
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

    def __init__(self, stripe_client: StripeClient, store: MerchantStore, clock: Clock) -> None:
        self._stripe = stripe_client
        self._store = store
        self._clock = clock

    async def sync(self, merchant: merchant_pb2.Merchant, *, is_v2: bool = False) -> bool:
        """Fetches and keeps; whether the content differs from what was kept before.

        What is known as a v2 account, now or from before, is fetched as one. Raises `FetchFailed`.
        """
        # Taken before the first request: what is fetched is at least as new as this.
        fetch_time = self._clock.now()
        snapshot = await self.fetch(
            merchant.corridor,
            merchant.connected_account_id,
            is_v2=is_v2 or merchant.snapshot.from_v2,
        )
        content_hash = hash_of(content_of(snapshot))
        return await self._store.save_snapshot(
            merchant.merchant_id, snapshot, content_hash, fetch_time
        )

    async def account(self, corridor: str, account_id: str) -> Mapping[str, Any]:
        """The account as Stripe has it now. Raises `FetchFailed`."""
        return _object_of(await self._stripe.accounts.retrieve_account(corridor, account_id))

    async def fetch(
        self, corridor: str, account_id: str, *, is_v2: bool = False
    ) -> merchant_pb2.AccountSnapshot:
        """What Stripe says now. Raises `FetchFailed`."""
        accounts = self._stripe.accounts
        account, capabilities, (persons, all_persons), v2_account = await asyncio.gather(
            accounts.retrieve_account(corridor, account_id),
            accounts.list_capabilities(corridor, account_id),
            self._persons(corridor, account_id),
            self._v2_account(corridor, account_id) if is_v2 else _nothing(),
        )
        account_object, capability_list = _object_of(account), _object_of(capabilities)
        external = account_object.get("external_accounts") or {"data": [], "has_more": False}
        if external["has_more"]:
            external = _object_of(
                await accounts.list_external_accounts(corridor, account_id, {"limit": MAX_ITEMS})
            )
        snapshot = snapshot_of(
            account_object,
            capability_list["data"],
            external["data"],
            persons,
            live_mode=self._stripe.is_live(corridor),
            complete=all_persons and not (capability_list["has_more"] or external["has_more"]),
        )
        return snapshot if v2_account is None else with_v2(snapshot, v2_account)

    async def _v2_account(self, corridor: str, account_id: str) -> Mapping[str, Any] | None:
        """The account's v2 form; None where Stripe does not show it. Raises `FetchFailed`."""
        outcome = await self._stripe.accounts.retrieve_v2_account(corridor, account_id)
        if outcome.outcome_class is OutcomeClass.REJECTED:
            return None
        return _object_of(outcome)

    async def _persons(
        self, corridor: str, account_id: str
    ) -> tuple[list[Mapping[str, Any]] | None, bool]:
        """The account's persons and whether these are all; None if Stripe does not show them.

        Of an account whose requirements Stripe collects, a platform may be refused the persons. An
        account that is gone is refused as a whole. Where Stripe shows the first page and refuses
        to go on, in each read, the persons are those that were shown and not all. Raises
        `FetchFailed`.
        """
        shown: list[Mapping[str, Any]] = []
        for _ in range(MAX_PERSON_READS):
            read = await self._read_persons(corridor, account_id)
            if not read.refused:
                return read.persons, read.complete
            shown = read.persons or shown
            if not read.persons:
                break
        return (shown, False) if shown else (None, True)

    async def _read_persons(self, corridor: str, account_id: str) -> "_PersonsRead":
        """The pages, up to the limit or to one that Stripe refuses."""
        found: list[Mapping[str, Any]] = []
        for _ in range(MAX_PERSON_PAGES):
            after = {"starting_after": found[-1]["id"]} if found else {}
            outcome = await self._stripe.accounts.list_persons(
                corridor, account_id, {"limit": MAX_ITEMS, **after}
            )
            if outcome.outcome_class is OutcomeClass.REJECTED:
                return _PersonsRead(found, complete=False, refused=True)
            page = _object_of(outcome)
            found += page["data"]
            if not page["has_more"] or not page["data"]:
                return _PersonsRead(found, complete=True)
        return _PersonsRead(found, complete=False)


@dataclass(frozen=True)
class _PersonsRead:
    """What pages of persons gave, whether that is all, and whether Stripe refused to go on."""

    persons: list[Mapping[str, Any]]
    complete: bool
    refused: bool = False


async def _nothing() -> None:
    """What is fetched of the v2 form of an account that is not known to have one."""


def _object_of(outcome: Outcome) -> Mapping[str, Any]:
    if outcome.object is None:
        raise FetchFailed(outcome)
    return outcome.object


DEAUTHORIZED = "account.application.deauthorized"
EVENT_TYPES = (
    "account.*",
    "capability.*",
    "person.*",
    # A failed payout sets the bank account to errored.
    "payout.failed",
    "v2.core.account.*",
    "v2.core.account_person.*",
)


V2_PREFIX = "v2.core.account"
# A thin event about a person of an account points at the person.
_OF_ACCOUNT = re.compile(r"/v2/core/accounts/(acct_[A-Za-z0-9]{1,58})(?:/.*)?")


class MerchantEvents:
    """The handler of events about connected accounts."""

    def __init__(self, store: MerchantStore, sync: MerchantSync, lost: LostRequests) -> None:
        self._store = store
        self._sync = sync
        self._lost = lost

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with."""
        return dict.fromkeys(EVENT_TYPES, self.apply)

    async def apply(self, event: StripeEvent) -> None:
        """Fetches the account that the event is about, whatever the event says of it."""
        account_id = _account_of(event)
        stored = await self._store.by_account(account_id) if account_id else None
        if stored is None:
            # An account that is not a merchant of ours, or one that CreateMerchant is about to
            # store with what it fetches itself, unless it is lost.
            if account_id == event.object_id:
                await self._wait_if_lost(event, account_id)
            return
        merchant = stored.message
        try:
            await self._sync.sync(merchant, is_v2=event.event_type.startswith(V2_PREFIX))
        except FetchFailed as failed:
            if failed.account_is_gone and event.event_type == DEAUTHORIZED:
                await self._store.disconnect(merchant.merchant_id)
                return
            raise _why_not(failed) from failed

    async def _wait_if_lost(self, event: StripeEvent, account_id: str) -> None:
        if not await self._lost.may_be(event.object):
            return
        try:
            made = await self._sync.account(event.corridor, account_id)
        except FetchFailed as failed:
            if failed.account_is_gone:
                return
            raise _why_not(failed) from failed
        if await self._lost.has_lost(made):
            await self._lost.tell(made)
            raise OutsideUnavailable("MERCHANT_LOST")


def _why_not(failed: FetchFailed) -> Exception:
    """What becomes of an event whose account cannot be had."""
    if failed.outcome.outcome_class in (OutcomeClass.NOT_SENT, OutcomeClass.UNKNOWN):
        return OutsideUnavailable("STRIPE_UNAVAILABLE", failed.outcome.retry_after)
    return PoisonEventError("ACCOUNT_NOT_READABLE")


def _account_of(event: StripeEvent) -> str | None:
    """The connected account that an event is about: its own, its object, or where that belongs."""
    if event.stripe_account is not None:
        return event.stripe_account
    if event.object_id.startswith("acct_"):
        return event.object_id
    named = _OF_ACCOUNT.fullmatch(text_of(event.object, "url"))
    return named.group(1) if named else None
