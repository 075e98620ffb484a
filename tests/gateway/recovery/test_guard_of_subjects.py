"""The guard notices that only a merchant, a customer or what it has saved was lost."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.customers.stripe_events import CustomerEvents
from gateway.identity import RequestIdentity
from gateway.ids import DEPLOYMENT_KEY, RequestMetadata
from gateway.merchants.store import MerchantStore
from gateway.merchants.stripe_events import MerchantEvents, MerchantSync
from gateway.operations.lost import LostRequests
from gateway.operations.requests import CUSTOMER_REQUEST, MERCHANT_REQUEST
from gateway.payouts.stripe_events import Payouts
from gateway.recovery import store
from gateway.recovery.guard import CLOCK_TOLERANCE, COMPARISON_RETRY, RestoreGuard
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.outcome import Outcome
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1.customer_pb2 import CUSTOMER_STATE_ACTIVE
from gateway.v1.customer_service_pb2 import DeleteCustomerRequest
from gateway.v1.customer_service_pb2_grpc import CustomerServiceStub
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from gateway.webhooks_in.event import EventHandler, OutsideUnavailable, read_event
from gateway.webhooks_in.router import EventRouter, merged
from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import AccountState
from sandbox.stripe_twin.twin import Twin
from tests.accounts import ACTIVE_ACCOUNT
from tests.backups import Backup
from tests.gateway.customers.conftest import new_customer, save
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.payouts.treasury import Treasury
from tests.gateway.running import OpenShop
from tests.gateway.webhooks_in.conftest import event_body

OURS = RequestMetadata("default", "lost", "0" * 64).as_metadata()
# Made by a release before this one, by another deployment, and without a request.
OTHERS = ({"engine_request_id": "lost"}, {**OURS, DEPLOYMENT_KEY: "b"}, {DEPLOYMENT_KEY: "default"})
KINDS = ("customers", "setup_intents", "accounts")
LISTS = tuple(f"/v1/{kind}" for kind in ("payment_intents", "refunds", "charges", *KINDS))
UNCOMPARED_ACCOUNTS = "gateway_database_uncompared_accounts"
Asked = Callable[[], list[str]]


async def make(stripe: StripeClient, kind: str, metadata: dict[str, str]) -> Outcome:
    """One of Stripe's objects that carries this."""
    key = repr(metadata)
    if kind == "accounts":
        account = {"type": "express", "country": "DE", "metadata": metadata}
        return await stripe.accounts.create_account("default", account, key)
    if kind == "customers":
        return await stripe.customers.create_customer("default", {"metadata": metadata}, key)
    nobody = await stripe.customers.create_customer("default", {}, f"of {key}")
    assert nobody.object is not None
    setup = {
        "customer": nobody.object["id"],
        "payment_method": "pm_card_visa",
        "confirm": True,
        "allowed_payment_method_types": ["card"],
        "usage": "off_session",
        "metadata": metadata,
    }
    return await stripe.customers.create_setup_intent("default", setup, key)


@pytest.fixture
async def stripe(twin: Twin, engine: AsyncEngine) -> AsyncIterator[StripeClient]:
    corridor = Corridor(
        name="default", api_key=SecretStr(twin.account().secret_key), api_base=twin.url
    )
    async with open_stripe_client([corridor], engine) as opened:
        yield opened.client


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def guard(engine: AsyncEngine, stripe: StripeClient, clock: ManualClock) -> RestoreGuard:
    return RestoreGuard(engine, stripe, RequestIdentity("default"), clock)


@pytest.fixture
def asked(twin: Twin) -> Asked:
    """Which lists Stripe was asked for since the last look."""
    seen = 0

    def look() -> list[str]:
        nonlocal seen
        paths = [request.path for request in twin.requests.matching("GET", "/v1/")]
        since, seen = paths[seen:], len(paths)
        return sorted(path for path in since if path in LISTS)

    return look


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_whose_request_is_not_known_closes_the_guard(
    guard: RestoreGuard, engine: AsyncEngine, stripe: StripeClient, clock: ManualClock, kind: str
) -> None:
    for metadata in OTHERS:
        assert (await make(stripe, kind, metadata)).succeeded
    await guard.prepare()
    assert not guard.closed
    assert (await make(stripe, kind, OURS)).succeeded
    guard = RestoreGuard(engine, stripe, RequestIdentity("default"), clock)
    await guard.prepare()
    assert guard.closed


async def test_a_kind_that_was_compared_is_not_asked_for_again(
    guard: RestoreGuard, twin: Twin, clock: ManualClock, asked: Asked
) -> None:
    fault = twin.add_fault(kind="error", method="GET", path="/v1/setup_intents", status=500)
    await guard.prepare()
    assert set(asked()) == set(LISTS)
    twin.faults.clear(fault)
    await guard.prepare()
    assert asked() == []
    clock.advance(COMPARISON_RETRY)
    await guard.prepare()
    assert asked() == ["/v1/setup_intents"]
    clock.advance(COMPARISON_RETRY)
    await guard.prepare()
    assert asked() == []


@pytest.mark.parametrize(("status", "again"), [(403, False), (400, False), (401, True)])
async def test_what_a_key_may_not_list_was_not_made_with_it(
    guard: RestoreGuard, twin: Twin, clock: ManualClock, asked: Asked, status: int, again: bool
) -> None:
    """As accounts of a platform without Connect; unless Stripe does not take the key at all."""
    body = {"error": {"type": "invalid_request_error", "message": "not with this key"}}
    twin.add_fault(kind="proxy", method="GET", path="/v1/accounts", status=status, body=body)
    await guard.prepare()
    assert set(asked()) == set(LISTS)
    clock.advance(COMPARISON_RETRY)
    await guard.prepare()
    assert asked() == (["/v1/accounts"] if again else [])
    assert not guard.closed


@pytest.mark.parametrize("kind", ["payment_intents", "charges", "refunds"])
async def test_an_account_that_cannot_be_compared_is_counted(
    guard: RestoreGuard, twin: Twin, clock: ManualClock, kind: str
) -> None:
    """What takes money has to be listed; a key that may not do so is told to the operators."""
    body = {"error": {"type": "invalid_request_error", "message": "not with this key"}}
    fault = twin.add_fault(kind="proxy", method="GET", path=f"/v1/{kind}", status=403, body=body)
    await guard.prepare()
    assert REGISTRY.get_sample_value(UNCOMPARED_ACCOUNTS) == 1
    twin.faults.clear(fault)
    clock.advance(COMPARISON_RETRY)
    await guard.prepare()
    assert REGISTRY.get_sample_value(UNCOMPARED_ACCOUNTS) == 0
    assert not guard.closed


async def test_another_database_is_not_whole_before_the_next_round_has_seen_it(
    guard: RestoreGuard, engine: AsyncEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What surfaces at Stripe may be of an attempt that it has lost: it would be booked twice."""
    async with engine.connect() as connection:
        # Nothing was compared yet.
        assert not await guard.is_whole(connection, "default")
    await guard.prepare()
    async with engine.connect() as connection:
        assert await guard.is_whole(connection, "default")
        monkeypatch.setattr(guard, "_incarnation", "of before")
        assert not await guard.is_whole(connection, "default")
        assert not guard.closed
    monkeypatch.undo()
    # Nor is one of which another process has found something missing.
    async with engine.begin() as connection:
        await store.report_gap(connection, store.Gap("a test", None, clock.now()))
        assert not await guard.is_whole(connection, "default")
        assert not guard.closed


@pytest.mark.parametrize("too_old", [False, True])
async def test_a_gap_begins_where_the_oldest_object_was_made_that_is_missing(
    guard: RestoreGuard, engine: AsyncEngine, clock: ManualClock, too_old: bool
) -> None:
    known_until = clock.now()
    async with engine.begin() as connection:
        await store.report_gap(connection, store.Gap("a test", known_until, known_until))
    made = known_until - CLOCK_TOLERANCE - timedelta(seconds=too_old)
    await guard.lost("another", made)
    await guard.lost("one without a time")
    async with engine.begin() as connection:
        gap = await store.open_gap(connection)
    assert gap is not None
    assert gap.known_until == (made if too_old else known_until)


async def test_a_gap_of_all_time_stays_one(
    guard: RestoreGuard, engine: AsyncEngine, clock: ManualClock
) -> None:
    await guard.lost("a test", clock.now() - timedelta(days=9))
    async with engine.begin() as connection:
        gap = await store.open_gap(connection)
    assert gap is not None
    assert gap.known_until is None


async def lose_subjects(open_shop: OpenShop, backup: Backup) -> None:
    """One payment is in the backup; a merchant, two customers and what they saved are lost. One of
    the customers is deleted since."""
    async with open_shop() as shop:
        await shop.create()
    backup.take()
    async with open_shop() as shop:
        customers, merchants = CustomerServiceStub(shop.channel), MerchantServiceStub(shop.channel)
        await customers.CreateCustomer(new_customer())
        await save(customers, "save", "visa")
        await customers.CreateCustomer(new_customer("gone", customer_id="grace"))
        await save(customers, "save-gone", "visa", customer_id="grace")
        await customers.DeleteCustomer(
            DeleteCustomerRequest(request_id="delete", customer_id="grace")
        )
        await merchants.CreateMerchant(new_merchant())
    backup.restore()


async def test_a_gateway_that_has_lost_only_subjects_begins_nothing_until_it_is_recovered(
    open_shop: OpenShop, backup: Backup, recover: Callable[..., Any]
) -> None:
    await lose_subjects(open_shop, backup)
    async with open_shop() as shop:
        assert await reason_of(shop) == "DATABASE_BEHIND"
        await recover()
        await poll(lambda: reason_of(shop), lambda reason: reason is None)
    # Nothing is missing any more: what cannot be rebuilt does not close it again.
    async with open_shop() as shop:
        customers = CustomerServiceStub(shop.channel)
        again = (await customers.CreateCustomer(new_customer())).customer
        assert again.state == CUSTOMER_STATE_ACTIVE
        assert await reason_of(shop) is None


async def test_an_event_about_a_lost_merchant_closes_the_guard_and_waits(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any], blind: None
) -> None:
    backup.take()
    async with open_shop(webhooks=False) as shop:
        merchants = MerchantServiceStub(shop.channel)
        merchant = (await merchants.CreateMerchant(new_merchant())).merchant
    backup.restore()
    async with open_shop() as shop:
        assert await reason_of(shop) is None
        state = AccountState.model_validate(ACTIVE_ACCOUNT)
        twin.override_account(merchant.connected_account_id, state)
        await poll(lambda: reason_of(shop), lambda reason: reason == "DATABASE_BEHIND")
        await recover()
        await poll(lambda: reason_of(shop), lambda reason: reason is None)


TOLD = {
    "customers": "customer.updated",
    "setup_intents": "setup_intent.succeeded",
    "accounts": "account.updated",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_that_shows_or_names_what_is_lost_closes_the_guard(
    guard: RestoreGuard, engine: AsyncEngine, stripe: StripeClient, clock: ManualClock, kind: str
) -> None:
    handlers = EventRouter(routes_of(engine, stripe, guard, clock))
    for metadata in (*OTHERS, OURS):
        made = (await make(stripe, kind, metadata)).object
        assert made is not None
        named = {"id": made["id"], "type": made["object"]}
        for thin, shown in (("", made), ("v1.", named)):
            event = read_event(event_body(thin + TOLD[kind], object=shown), "default")
            handler = handlers.handler_of(event.event_type)
            assert handler is not None
            if metadata is OURS:
                with pytest.raises(OutsideUnavailable):
                    await handler(event)
            else:
                await handler(event)
        assert guard.closed == (metadata is OURS)


async def test_an_event_about_a_payout_of_a_lost_merchant_closes_the_guard(
    guard: RestoreGuard, engine: AsyncEngine, stripe: StripeClient, clock: ManualClock
) -> None:
    identity = RequestIdentity("default")
    payouts = Payouts(engine, stripe, MerchantStore(engine, clock), identity, guard, clock)
    # What another has made on an account that is not ours says nothing, nor what a merchant's own
    # schedule has, nor what is ours on the account of somebody whom we never had.
    for place, (of_payout, of_account, lost) in enumerate(
        (
            ({**OURS, DEPLOYMENT_KEY: "b"}, OURS, False),
            ({}, OURS, False),
            (OURS, OTHERS[1], False),
            (OURS, OURS, True),
        )
    ):
        account = (await make(stripe, "accounts", {**of_account, "place": str(place)})).object
        assert account is not None
        made = {"id": "po_1", "object": "payout", "created": 1, "metadata": of_payout}
        body = event_body("payout.created", object=made, account=account["id"])
        if lost:
            with pytest.raises(OutsideUnavailable):
                await payouts.apply(read_event(body, "default"))
        else:
            await payouts.apply(read_event(body, "default"))
        assert guard.closed == lost


async def test_a_lost_payout_closes_the_guard_although_that_failed_at_first(
    guard: RestoreGuard,
    engine: AsyncEngine,
    stripe: StripeClient,
    clock: ManualClock,
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the process ends, or its database is away for a moment, before it is closed."""
    async with open_shop(webhooks=False) as shop:
        treasury = await Treasury.open(shop, twin)
    backup.take()
    async with open_shop(webhooks=False) as shop:
        made = await Treasury(shop, twin, treasury.account_id).create(10_00)
    backup.restore()
    payouts = Payouts(
        engine, stripe, MerchantStore(engine, clock), RequestIdentity("default"), guard, clock
    )
    shown = {"id": made.stripe_payout_id, "object": "payout"}
    event = read_event(
        event_body("payout.created", object=shown, account=treasury.account_id), "default"
    )

    async def fails(_reason: str, _made: datetime | None = None) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(guard, "lost", fails)
        with pytest.raises(ConnectionError):
            await payouts.apply(event)
    await payouts.apply(event)
    assert guard.closed


async def test_a_lost_customer_that_stripe_has_deleted_is_not_missed(
    guard: RestoreGuard, engine: AsyncEngine, stripe: StripeClient, clock: ManualClock
) -> None:
    """Nothing of it could be recovered."""
    made = (await make(stripe, "customers", OURS)).object
    assert made is not None
    event = read_event(event_body("customer.created", object=made), "default")
    await stripe.customers.delete_customer("default", made["id"])
    handler = EventRouter(routes_of(engine, stripe, guard, clock)).handler_of(event.event_type)
    assert handler is not None
    await handler(event)
    assert not guard.closed


def routes_of(
    engine: AsyncEngine, stripe: StripeClient, guard: RestoreGuard, clock: ManualClock
) -> dict[str, EventHandler]:
    """What events about customers and merchants are dealt with by."""
    merchants = MerchantStore(engine, clock)
    sync = MerchantSync(stripe, merchants, clock)
    of_customers = LostRequests(engine, guard, CUSTOMER_REQUEST)
    of_merchants = LostRequests(engine, guard, MERCHANT_REQUEST)
    return merged(
        CustomerEvents(engine, stripe, of_customers, clock).routes(),
        MerchantEvents(merchants, sync, of_merchants).routes(),
    )


async def reason_of(shop: Shop) -> str | None:
    """What a new payment is refused for."""
    try:
        await shop.create()
    except RefusedError as refusal:
        return refusal.error.reason
    return None
