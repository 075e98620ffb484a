"""Which account at Stripe a request is about."""

from dataclasses import dataclass
from typing import Any

from gateway.merchants.errors import (
    corridor_not_found,
    merchant_not_connected,
    merchant_not_found,
)
from gateway.merchants.store import STATE_NAMES, MerchantStore, StoredMerchant
from gateway.rails.rails import Rails
from gateway.v1 import merchant_pb2, merchant_tax_pb2


@dataclass(frozen=True)
class StripeAccount:
    """An account at Stripe, and a customer of it if the request is about one."""

    corridor: str
    stripe_account_id: str | None
    """The connected account; None for the corridor's own."""
    customer_id: str | None = None


class AccountFinder:
    """Resolves what requests name. Raises `ServiceError` where there is nothing."""

    def __init__(self, rails: Rails, store: MerchantStore) -> None:
        self._rails = rails
        self._store = store

    def corridor(self, name: str) -> str:
        """The corridor of this name; the default one if it is empty."""
        if not name:
            return self._rails.default_corridor
        if name not in self._rails.corridors:
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
        return StripeAccount(merchant.corridor, merchant.stripe_account_id)

    async def owner(self, owner: merchant_tax_pb2.TaxIdOwner) -> StripeAccount:
        """The account, and the customer if there is one, that a tax number belongs to."""
        if owner.WhichOneof("owner") == "merchant_id":
            merchant = await self.connected(owner.merchant_id)
            return StripeAccount(merchant.corridor, merchant.stripe_account_id)
        customer = owner.customer
        if customer.merchant_id:
            merchant = await self.connected(customer.merchant_id)
            return StripeAccount(
                merchant.corridor, merchant.stripe_account_id, customer.customer_id
            )
        return StripeAccount(self.corridor(customer.corridor), None, customer.customer_id)
