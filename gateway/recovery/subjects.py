"""Customers, what they saved, and merchants that the database has lost, from what Stripe has.

Each object at Stripe carries the request that made it. Whoever sends that again gets the first
answer, however long ago it was, and no second object is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.customers import store as customer_store
from gateway.customers.domain import customer_message
from gateway.customers.errors import customer_exists
from gateway.customers.store import ACTIVE, CREATING
from gateway.ids import RequestMetadata
from gateway.merchants import store as merchant_store
from gateway.merchants.domain import MERCHANT_KEY
from gateway.merchants.errors import already_linked, merchant_exists
from gateway.merchants.stripe_events import FetchFailed, MerchantSync
from gateway.operations.commands import Refusal
from gateway.operations.requests import CUSTOMER_REQUEST, MERCHANT_REQUEST, remember_carried
from gateway.payments.domain.intents import id_of
from gateway.payments.domain.stripe_params import CUSTOMER_KEY
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.v1 import customer_pb2
from gateway.v1.customer_service_pb2 import CreateCustomerRequest, SavePaymentMethodRequest
from gateway.v1.merchant_pb2 import MERCHANT_STATE_CONNECTED
from gateway.v1.merchant_service_pb2 import CreateMerchantRequest
from runtime.clock import Clock
from runtime.idempotency import method_of

CREATE_CUSTOMER = method_of(CreateCustomerRequest())
SAVE_PAYMENT_METHOD = method_of(SavePaymentMethodRequest())
CREATE_MERCHANT = method_of(CreateMerchantRequest())


class AccountUnreadableError(Exception):
    """Stripe did not tell how a connected account is."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("an account could not be fetched")
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of one of Stripe's objects: whether something had been lost of it; `problem` is
    for a person to look at."""

    is_new: bool = False
    problem: str = ""


NOTHING = Rebuilt()


class LostSubjects:
    """Makes rows of Stripe's objects; finds what is there already."""

    def __init__(self, engine: AsyncEngine, sync: MerchantSync, clock: Clock) -> None:
        self._engine = engine
        self._sync = sync
        self._clock = clock

    async def customer(self, corridor: str, made: Mapping[str, Any]) -> Rebuilt:
        """One of Stripe's customers."""
        metadata: Mapping[str, str] = made.get("metadata") or {}
        carried = RequestMetadata.read_whole(metadata)
        customer_id = metadata.get(CUSTOMER_KEY)
        if carried is None or not customer_id:
            return NOTHING
        now, stripe_id = self._clock.now(), str(made["id"])
        async with self._engine.begin() as connection:
            if await customer_store.of_stripe(connection, corridor, stripe_id) is not None:
                return NOTHING
            customer = await customer_store.add(
                connection, customer_id, corridor, carried.request_id, _created(made)
            )
            if customer.create_request_id != carried.request_id or customer.state != CREATING:
                # That one is there: this request is answered as if it came after it.
                await remember_carried(
                    connection,
                    CUSTOMER_REQUEST,
                    carried,
                    CREATE_CUSTOMER,
                    customer_id,
                    None,
                    _created(made),
                    Refusal.of(customer_exists(customer)).kept,
                )
                return Rebuilt(
                    problem=f"{customer_id} is {customer.stripe_customer_id or customer.state}, and"
                    f" {stripe_id} in {corridor} was made for it, too"
                )
            customer = await customer_store.get(connection, customer.customer_number, lock=True)
            settings = made.get("invoice_settings") or {}
            customer = await customer_store.change(
                connection,
                customer,
                now,
                state=ACTIVE,
                stripe_customer_id=stripe_id,
                default_payment_method=id_of(settings.get("default_payment_method")),
            )
            await remember_carried(
                connection,
                CUSTOMER_REQUEST,
                carried,
                CREATE_CUSTOMER,
                customer_id,
                customer_message(customer),
                customer.create_time,
            )
        return Rebuilt(is_new=True)

    async def setup(self, corridor: str, made: Mapping[str, Any]) -> Rebuilt:
        """One of Stripe's SetupIntents: the payment methods themselves are read from Stripe."""
        carried = RequestMetadata.read_whole(made.get("metadata") or {})
        if carried is None:
            return NOTHING
        async with self._engine.begin() as connection:
            customer = await customer_store.of_stripe(
                connection, corridor, id_of(made.get("customer"))
            )
            # One that was deleted since is not told of, and has nothing any more.
            is_new = await remember_carried(
                connection,
                CUSTOMER_REQUEST,
                carried,
                SAVE_PAYMENT_METHOD,
                customer.customer_id if customer is not None else "",
                customer_pb2.PaymentMethodSetup(id=str(made["id"])),
                _created(made),
            )
        return Rebuilt(is_new=is_new)

    async def merchant(self, corridor: str, made: Mapping[str, Any]) -> Rebuilt:
        """One of Stripe's connected accounts, with its snapshot. Raises AccountUnreadableError."""
        metadata: Mapping[str, str] = made.get("metadata") or {}
        carried = RequestMetadata.read_whole(metadata)
        merchant_id = metadata.get(MERCHANT_KEY)
        if carried is None or not merchant_id:
            return NOTHING
        account_id = str(made["id"])
        async with self._engine.begin() as connection:
            stored = await merchant_store.add(
                connection,
                merchant_id=merchant_id,
                corridor=corridor,
                request_id=carried.request_id,
                now=_created(made),
                stripe_account_id=account_id,
            )
            if stored is None or stored.create_request_id != carried.request_id:
                taken = (
                    merchant_exists(merchant_id)
                    if stored is not None
                    else already_linked(merchant_id, account_id)
                )
                await remember_carried(
                    connection,
                    MERCHANT_REQUEST,
                    carried,
                    CREATE_MERCHANT,
                    merchant_id,
                    None,
                    _created(made),
                    Refusal.of(taken).kept,
                )
                return Rebuilt(
                    problem=f"{account_id} in {corridor} was made for {merchant_id}, too"
                )
            if not stored.message.connected_account_id:
                await merchant_store.change(
                    connection,
                    merchant_id,
                    self._clock.now(),
                    state="CONNECTED",
                    stripe_account_id=account_id,
                )
            is_new = await remember_carried(
                connection,
                MERCHANT_REQUEST,
                carried,
                CREATE_MERCHANT,
                merchant_id,
                # Made when the request comes again, from how the account is then.
                None,
                _created(made),
            )
            stored = await merchant_store.find(connection, merchant_id)
        assert stored is not None, "it was added"
        is_read = True
        if stored.fetch_time is None and stored.message.state == MERCHANT_STATE_CONNECTED:
            is_read = await self._fetch(stored.message)
        problem = "" if is_read else f"Stripe does not let us read {account_id} of {merchant_id}"
        return Rebuilt(is_new, problem)

    async def _fetch(self, merchant: Any) -> bool:
        """Whether Stripe lets us read the account. What it refuses once it would refuse again: the
        merchant is there, and is fetched when it is next due."""
        try:
            await self._sync.sync(merchant)
        except FetchFailed as failed:
            if failed.outcome.outcome_class is not OutcomeClass.REJECTED:
                raise AccountUnreadableError(failed.outcome) from failed
            return failed.account_is_gone
        return True


def _created(made: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(made["created"]), UTC)
