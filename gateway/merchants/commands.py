"""Which account at Stripe a request is about, and creating connected accounts, or attaching them,
without ever making two."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import database_behind
from gateway.ids import RequestMetadata, derived_id
from gateway.merchants import store
from gateway.merchants.domain import account_params
from gateway.merchants.errors import (
    account_not_found,
    already_linked,
    corridor_not_found,
    merchant_exists,
    merchant_not_connected,
    merchant_not_found,
)
from gateway.merchants.operations import merchant_operation
from gateway.merchants.store import STATE_NAMES, MerchantStore, StoredMerchant
from gateway.merchants.stripe_events import FetchFailed, MerchantSync
from gateway.operations.commands import Commands, Refusal, Rule, Start, outcome_of
from gateway.operations.operation import OperationKind
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.v1 import merchant_pb2, merchant_service_pb2, merchant_tax_pb2

# Compared with the request that comes again, but not kept with it.
PERSONAL_FIELDS = ("email",)


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


class Onboarding:
    """What CreateMerchant does. Each step is written down before the next one begins."""

    def __init__(
        self,
        stripe_client: StripeClient,
        merchants: MerchantStore,
        commands: Commands,
        sync: MerchantSync,
    ) -> None:
        self._stripe = stripe_client
        self._merchants = merchants
        self._commands = commands
        self._sync = sync

    async def create(
        self, request: merchant_service_pb2.CreateMerchantRequest, corridor: str
    ) -> merchant_pb2.Merchant:
        """The merchant, CONNECTED with a snapshot, or FAILED. Raises `ServiceError`."""
        known = await self._commands.find(request, personal=PERSONAL_FIELDS)
        if known is None and request.connected_account_id:
            await self._check_account(corridor, request.connected_account_id)
        rule = _creation_rule(request, corridor, self._commands.metadata_of(request))
        done = await self._commands.try_once(
            request, request.merchant_id, rule, personal=PERSONAL_FIELDS
        )
        if done.answer is not None:
            return merchant_pb2.Merchant.FromString(done.answer)
        outcome_of(done)
        merchant = (await self._stored(done.subject_id)).message
        if merchant.state == merchant_pb2.MERCHANT_STATE_CONNECTED:
            merchant = await self._with_snapshot(merchant)
        await self._commands.answer(request, merchant)
        return merchant

    async def _check_account(self, corridor: str, account_id: str) -> None:
        outcome = await self._stripe.accounts.retrieve_account(corridor, account_id)
        if outcome.succeeded:
            return
        if FetchFailed(outcome).account_is_gone:
            raise account_not_found(account_id)
        raise call_failed(corridor, outcome)

    async def _with_snapshot(self, merchant: merchant_pb2.Merchant) -> merchant_pb2.Merchant:
        try:
            await self._sync.sync(merchant)
        except FetchFailed as failed:
            raise call_failed(merchant.corridor, failed.outcome) from failed
        return (await self._stored(merchant.merchant_id)).message

    async def _stored(self, merchant_id: str) -> StoredMerchant:
        stored = await self._merchants.by_id(merchant_id)
        if stored is None:
            # Merchants are never deleted: the database is one that has lost it.
            raise database_behind()
        return stored


def _creation_rule(
    request: merchant_service_pb2.CreateMerchantRequest, corridor: str, carried: RequestMetadata
) -> Rule:
    """Adds the merchant, and asks for its account unless it has one. Its id is derived like all
    others: the same request is the same merchant."""

    async def rule(
        connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        merchant_id = request.merchant_id or derived_id("mrc", operation_id)
        stored = await store.add(
            connection,
            merchant_id=merchant_id,
            corridor=corridor,
            request_id=request.request_id,
            now=now,
            stripe_account_id=request.connected_account_id or None,
        )
        if stored is None:
            return Refusal.of(already_linked(merchant_id, request.connected_account_id))
        if stored.create_request_id != request.request_id:
            return Refusal.of(merchant_exists(merchant_id))
        if request.connected_account_id:
            return Start(merchant_id)
        params = account_params(request, merchant_id, carried)
        operation = merchant_operation(
            operation_id, OperationKind.CREATE_ACCOUNT, merchant_id, corridor, params, now
        )
        return Start(merchant_id, operation)

    return rule
