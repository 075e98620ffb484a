"""Which account at Stripe a request is about, and creating connected accounts, or attaching them,
without ever making two."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.merchants.domain import MERCHANT_KEY, account_params
from gateway.merchants.errors import (
    account_not_found,
    already_linked,
    call_failed,
    corridor_not_found,
    merchant_exists,
    merchant_not_connected,
    merchant_not_found,
)
from gateway.merchants.requests import RequestBook, StoredRequest
from gateway.merchants.store import STATE_NAMES, MerchantStore, StoredMerchant
from gateway.merchants.stripe_events import FetchFailed, MerchantSync
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, refused_for_good
from gateway.stripe_client.search import the_one_found
from gateway.v1 import merchant_pb2, merchant_service_pb2, merchant_tax_pb2
from runtime.clock import Clock


@dataclass(frozen=True)
class StripeAccount:
    """An account at Stripe, and a customer of it if the request is about one."""

    corridor: str
    stripe_account_id: str | None
    """The connected account; None for the corridor's own."""
    customer_id: str | None = None


class AccountFinder:
    """Resolves what requests name. Raises `ServiceError` where there is nothing."""

    def __init__(self, stripe_client: StripeClient, store: MerchantStore) -> None:
        self._stripe = stripe_client
        self._store = store

    def corridor(self, name: str) -> str:
        """The corridor of this name; the default one if it is empty."""
        if not name:
            return self._stripe.default_corridor
        if name not in self._stripe.corridors:
            raise corridor_not_found(name)
        return name

    async def merchant(self, merchant_id: str) -> StoredMerchant:
        """The merchant with this id."""
        stored = await self._store.by_id(merchant_id)
        if stored is None:
            raise merchant_not_found(merchant_id)
        return stored

    async def connected(self, merchant_id: str) -> merchant_pb2.Merchant:
        """The merchant with this id, if we may act for its account."""
        merchant = (await self.merchant(merchant_id)).message
        if merchant.state != merchant_pb2.MERCHANT_STATE_CONNECTED:
            raise merchant_not_connected(merchant_id, STATE_NAMES[merchant.state])
        return merchant

    async def account(self, request: Any) -> StripeAccount:
        """The account of a request that names a merchant or a corridor."""
        if request.WhichOneof("account") == "corridor":
            return StripeAccount(self.corridor(request.corridor), None)
        merchant = await self.connected(request.merchant_id)
        return StripeAccount(merchant.corridor, merchant.connected_account_id)

    async def owner(self, owner: merchant_tax_pb2.TaxIdOwner) -> StripeAccount:
        """The account, and the customer if there is one, that a tax number belongs to."""
        if owner.WhichOneof("owner") == "merchant_id":
            merchant = await self.connected(owner.merchant_id)
            return StripeAccount(merchant.corridor, merchant.connected_account_id)
        customer = owner.customer
        if customer.merchant_id:
            merchant = await self.connected(customer.merchant_id)
            return StripeAccount(
                merchant.corridor, merchant.connected_account_id, customer.stripe_customer_id
            )
        return StripeAccount(self.corridor(customer.corridor), None, customer.stripe_customer_id)


METHOD = "CreateMerchant"
# Clocks differ, and Stripe may have acted a while after we wrote the request down.
SEARCH_MARGIN = timedelta(hours=1)


class Onboarding:
    """What CreateMerchant does. Each step is written down before the next one begins."""

    def __init__(
        self,
        stripe_client: StripeClient,
        store: MerchantStore,
        requests: RequestBook,
        sync: MerchantSync,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client
        self._store = store
        self._requests = requests
        self._sync = sync
        self._clock = clock

    async def create(
        self, request: merchant_service_pb2.CreateMerchantRequest, corridor: str
    ) -> merchant_pb2.Merchant:
        """The merchant, CONNECTED with a snapshot, or FAILED. Raises `ServiceError`."""
        begun = await self._requests.begin(
            METHOD,
            request,
            subject_id=request.merchant_id or f"mrc_{uuid.uuid4().hex}",
            personal_fields=["email"],
        )
        if begun.answer is not None:
            return merchant_pb2.Merchant.FromString(begun.answer)
        if request.connected_account_id:
            merchant = await self._attach(request.connected_account_id, corridor, begun)
        else:
            merchant = await self._create(request, corridor, begun)
        if merchant.state == merchant_pb2.MERCHANT_STATE_CONNECTED:
            merchant = await self._with_snapshot(merchant)
        await self._requests.answer(begun.request_id, merchant)
        return merchant

    async def _attach(
        self, account_id: str, corridor: str, begun: StoredRequest
    ) -> merchant_pb2.Merchant:
        outcome = await self._stripe.accounts.retrieve_account(corridor, account_id)
        if not outcome.succeeded:
            if FetchFailed(outcome).account_is_gone:
                raise account_not_found(account_id)
            raise call_failed(corridor, outcome)
        stored = await self._store.add(
            merchant_id=begun.subject_id,
            corridor=corridor,
            request_id=begun.request_id,
            stripe_account_id=account_id,
        )
        if stored is None:
            failure = already_linked(begun.subject_id, account_id)
            await self._requests.fail(begun.request_id, failure)
            raise failure
        return (await self._own(stored, begun)).message

    async def _create(
        self,
        request: merchant_service_pb2.CreateMerchantRequest,
        corridor: str,
        begun: StoredRequest,
    ) -> merchant_pb2.Merchant:
        stored = await self._store.add(
            merchant_id=begun.subject_id, corridor=corridor, request_id=begun.request_id
        )
        assert stored is not None, "only an account can be another merchant's"
        merchant = (await self._own(stored, begun)).message
        if merchant.state != merchant_pb2.MERCHANT_STATE_CREATING:
            return merchant
        if begun.key_is_fresh(self._clock.now()):
            outcome = await self._stripe.accounts.create_account(
                corridor, account_params(request, begun.subject_id), begun.idempotency_key
            )
        else:
            outcome = await self._find(corridor, begun)
        if outcome.succeeded and outcome.object is not None:
            await self._store.connect(begun.subject_id, outcome.object["id"])
        elif refused_for_good(outcome):
            assert outcome.failure is not None
            await self._store.fail(begun.subject_id, outcome.failure.code or "rejected")
        else:
            raise call_failed(corridor, outcome)
        return (await self._stored(begun.subject_id)).message

    async def _find(self, corridor: str, begun: StoredRequest) -> Outcome:
        """The account that an old request made, if it made one. The key is too old to send."""
        outcome = await self._stripe.accounts.find_accounts(
            corridor,
            {MERCHANT_KEY: begun.subject_id},
            created_from=begun.create_time - SEARCH_MARGIN,
            created_to=self._clock.now() + SEARCH_MARGIN,
        )
        return the_one_found(outcome)

    async def _own(self, stored: StoredMerchant, begun: StoredRequest) -> StoredMerchant:
        if stored.create_request_id == begun.request_id:
            return stored
        failure = merchant_exists(begun.subject_id)
        await self._requests.fail(begun.request_id, failure)
        raise failure

    async def _with_snapshot(self, merchant: merchant_pb2.Merchant) -> merchant_pb2.Merchant:
        try:
            await self._sync.sync(merchant)
        except FetchFailed as failed:
            raise call_failed(merchant.corridor, failed.outcome) from failed
        return (await self._stored(merchant.merchant_id)).message

    async def _stored(self, merchant_id: str) -> StoredMerchant:
        stored = await self._store.by_id(merchant_id)
        assert stored is not None, "merchants are never deleted"
        return stored
