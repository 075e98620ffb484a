"""Billing against the Stripe twin: what events and walks bring, told once for each change."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import stripe
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.billing import store
from gateway.billing.billing import BillingKind, read_object
from gateway.billing.reading import AWAY, PAGE_SIZE, RECENT, BillingReader, BillingWalks
from gateway.epochs import FIRST, begin_epoch
from gateway.numbering import number_changes
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1 import billing_service_pb2 as pb
from gateway.v1.billing_service_pb2_grpc import BillingServiceStub
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from sandbox.stripe_twin.invoices import PAYMENT
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.twin import Twin
from tests.gateway.running import running_gateway
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.waiting import WAIT_SECONDS

INTERVAL = timedelta(days=1)
KEYS = itertools.count(1)
WEEK = 7 * 86_400.0


def options() -> stripe.RequestOptions:
    return stripe.RequestOptions(idempotency_key=f"billing-{next(KEYS)}")


@pytest.fixture
async def api(twin: Twin) -> AsyncIterator[Any]:
    """The SDK, as the platform's own programs use it."""
    async with open_shop(twin, twin.account().secret_key) as shop:
        yield shop.api


@pytest.fixture
async def stripe_client(twin: Twin, engine: AsyncEngine) -> AsyncIterator[StripeClient]:
    corridor = Corridor(
        name="default",
        api_key=SecretStr(twin.account().secret_key),
        api_base=twin.url,
        webhook_secrets=(SecretStr("whsec_bench"),),
    )
    async with open_stripe_client([corridor], engine) as opened:
        yield opened.client


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def walks(engine: AsyncEngine, stripe_client: StripeClient, clock: ManualClock) -> BillingWalks:
    return BillingWalks(engine, stripe_client, INTERVAL, clock)


async def subscribe(api: Any, quantity: int = 2) -> Any:
    """A subscription of 9.00 USD a week each, with a card that pays."""
    customer = await api.customers.create_async(
        {"name": "Ada", "email": "ada@example.com"}, options()
    )
    method = await api.payment_methods.attach_async(
        "pm_card_visa", {"customer": customer.id}, options()
    )
    product = await api.products.create_async({"name": "Tea"}, options())
    price: Any = {"product": product.id, "currency": "usd", "unit_amount": 900}
    price = await api.prices.create_async({**price, "recurring": {"interval": "week"}}, options())
    return await api.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "quantity": quantity}],
            "default_payment_method": method.id,
        },
        options(),
    )


async def watched(channel: grpc.aio.Channel, is_all: Callable[[dict[str, Any]], bool]) -> Any:
    """The changes up to where the last of each object are all that is wanted."""
    seen: list[pb.WatchBillingResponse] = []
    last: dict[str, Any] = {}
    stream = BillingServiceStub(channel).WatchBilling(pb.WatchBillingRequest())
    async with asyncio.timeout(WAIT_SECONDS):
        async for change in stream:
            seen.append(change)
            one = getattr(change, str(change.WhichOneof("changed")))
            last[one.id] = one
            if is_all(last):
                break
    stream.cancel()
    assert [change.sequence for change in seen] == list(range(1, len(seen) + 1))
    return seen, last


def at_twin(twin: Twin, kind: str) -> list[JsonObject]:
    return list(twin.account().objects(kind))


async def test_events_tell_invoices_with_what_pays_them(
    database_url: str, twin: Twin, engine: AsyncEngine, api: Any
) -> None:
    async with running_gateway(database_url, twin, billing=True) as gateway:
        subscription = await subscribe(api)
        twin.advance(seconds=WEEK + 3_700)
        invoices = at_twin(twin, "invoice")
        note = await api.credit_notes.create_async(
            {"invoice": invoices[0]["id"], "amount": 500, "refund_amount": 500}, options()
        )
        wanted = {item["id"]: item["status"] for item in [*invoices, *at_twin(twin, PAYMENT)]}
        wanted |= {note.id: "issued", subscription.id: "active"}

        def is_all(last: dict[str, Any]) -> bool:
            return {key: one.status for key, one in last.items()} == wanted

        seen, last = await watched(gateway.channel, is_all)
        stub = BillingServiceStub(gateway.channel)
        listed = await stub.ListInvoices(pb.ListInvoicesRequest())
        paged: list[Any] = []
        request = pb.ListInvoicesRequest(page_size=1)
        while True:
            page = await stub.ListInvoices(request)
            paged += page.invoices
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        of_nobody = await stub.ListInvoices(pb.ListInvoicesRequest(customer_id="cus_none"))
        (shown,) = (
            await stub.ListSubscriptions(
                pb.ListSubscriptionsRequest(
                    corridor="default", customer_id=subscription.customer, status="active"
                )
            )
        ).subscriptions
        none = await stub.ListSubscriptions(pb.ListSubscriptionsRequest(status="canceled"))
    assert len(invoices) == 2
    assert {change.epoch for change in seen} == {FIRST}
    assert {one.id for one in listed.invoices} == {one["id"] for one in invoices}
    assert list(listed.invoices) == paged
    assert not of_nobody.invoices
    assert not none.subscriptions
    payments = {one["invoice"]: one for one in at_twin(twin, PAYMENT)}
    for told in invoices:
        one, payment = last[told["id"]], last[payments[told["id"]]["id"]]
        assert (one.total.minor_units, one.total.currency_code) == (18_00, "USD")
        assert (one.subtotal.minor_units, one.tax.minor_units) == (18_00, 0)
        assert (one.amount_paid.minor_units, one.amount_remaining.minor_units) == (18_00, 0)
        assert (one.customer_id, one.subscription_id) == (subscription.customer, subscription.id)
        assert one.period_end_time.seconds - one.period_start_time.seconds == WEEK
        assert one.pay_time.seconds == told["status_transitions"]["paid_at"]
        intent = payments[told["id"]]["payment"]["payment_intent"]
        assert (payment.invoice_id, payment.payment_intent_id) == (told["id"], intent)
        assert payment.amount_paid.minor_units == 18_00
    assert (last[note.id].post_payment.minor_units, last[note.id].invoice_id) == (
        500,
        invoices[0]["id"],
    )
    assert list(last[note.id].refund_ids) == [one["id"] for one in at_twin(twin, "refund")]
    (item,) = shown.items
    assert (item.interval, item.interval_count, item.quantity) == ("week", 1, 2)
    assert (item.amount.minor_units, item.amount.currency_code) == (18_00, "USD")
    assert shown.corridor == "default"
    assert await personal_rows(engine) == 0


async def personal_rows(engine: AsyncEngine) -> int:
    """Rows of Billing, and events about it, that have the customer's name or address."""
    told = text(
        "SELECT count(*) FROM (SELECT content::text AS t FROM billing_object UNION ALL"
        " SELECT content::text FROM billing_change UNION ALL SELECT body FROM webhook_event WHERE"
        " event_type ~ '^(invoice|credit_note|customer.subscription)') AS kept"
        " WHERE t ~* '\\mada\\M'"
    )
    async with engine.connect() as connection:
        return int((await connection.execute(told)).scalar_one())


async def objects(engine: AsyncEngine) -> dict[str, Any]:
    async with engine.connect() as connection:
        return {row.id: row for row in await connection.execute(select(store.OBJECT))}


async def walked(walks: BillingWalks) -> int:
    """Walks as far as there is something due; how many pages that were."""
    pages = 0
    while await walks.round():
        pages += 1
    return pages


async def test_walks_bring_what_no_event_has_told(
    walks: BillingWalks, engine: AsyncEngine, twin: Twin, api: Any, clock: ManualClock
) -> None:
    subscription = await subscribe(api)
    assert await walked(walks) == len(BillingKind)
    found = await objects(engine)
    kinds = ("invoice", PAYMENT, "subscription")
    assert set(found) == {one["id"] for kind in kinds for one in at_twin(twin, kind)}
    assert await walked(walks) == 0
    async with engine.begin() as connection:
        assert await number_changes(connection, store.FEED, clock.now()) == len(found)
        assert await number_changes(connection, store.FEED, clock.now()) == 0
    # What is as it was is no change; what has ended is found although Stripe does not list it.
    await api.subscriptions.cancel_async(subscription.id, None, options())
    clock.advance(INTERVAL)
    assert await walked(walks) == len(BillingKind)
    async with engine.begin() as connection:
        assert await number_changes(connection, store.FEED, clock.now()) == 1
    assert (await objects(engine))[subscription.id].content["status"] == "canceled"


async def test_a_walk_goes_on_page_by_page_and_later_ones_see_what_is_recent(
    walks: BillingWalks, engine: AsyncEngine, twin: Twin, api: Any, clock: ManualClock
) -> None:
    await subscribe(api)
    first = at_twin(twin, "invoice")[0]
    for number in range(PAGE_SIZE):
        twin.account().objects("invoice").add({**first, "id": f"in_more{number}"})
    assert await walked(walks) == len(BillingKind) + 1
    assert len([key for key in await objects(engine) if key.startswith("in_")]) == PAGE_SIZE + 1
    # Changed long after it was made, and told by nobody.
    first["status"] = "void"
    clock.advance(INTERVAL)
    await walked(walks)
    assert (await objects(engine))[first["id"]].content["status"] == "void"
    first["status"] = "uncollectible"
    clock.advance(RECENT + INTERVAL)
    await walked(walks)
    clock.advance(INTERVAL)
    first["status"] = "paid"
    assert await walked(walks) == len(BillingKind)
    assert (await objects(engine))[first["id"]].content["status"] == "uncollectible"


async def test_a_walk_that_stripe_does_not_answer_is_taken_up_again(
    walks: BillingWalks, engine: AsyncEngine, twin: Twin, api: Any, clock: ManualClock
) -> None:
    await subscribe(api)
    for number in range(PAGE_SIZE):
        told = {**at_twin(twin, "invoice")[0], "id": f"in_more{number}"}
        twin.account().objects("invoice").add(told)
    while not (await _after(engine, "invoice")):
        assert await walks.round()
    # The last one of the page was a draft that is deleted.
    twin.account().objects("invoice").remove(await _after(engine, "invoice"))
    await walked(walks)
    assert await _after(engine, "invoice") == ""
    clock.advance(AWAY)
    await walked(walks)
    listed = {one["id"] for one in at_twin(twin, "invoice")}
    assert listed <= set(await objects(engine))


async def _after(engine: AsyncEngine, kind: str) -> str:
    statement = select(store.WALK.c.after_id).where(store.WALK.c.kind == kind)
    async with engine.connect() as connection:
        return (await connection.execute(statement)).scalar_one_or_none() or ""


async def test_what_was_asked_for_earlier_is_not_written_over_what_came_later(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    def invoice(status: str) -> Any:
        return read_object(BillingKind.INVOICE, {"id": "in_1", "status": status, "currency": "eur"})

    early, late = clock.now(), clock.now() + timedelta(seconds=1)
    async with engine.begin() as connection:
        await store.keep(connection, "default", [invoice("paid")], late)
        await store.keep(connection, "default", [invoice("open")], early)
        assert (await store.find(connection, "default", BillingKind.INVOICE, "in_1") or {})[
            "status"
        ] == "paid"
        await store.keep(connection, "default", [invoice("void")], late)
    assert (await objects(engine))["in_1"].content["status"] == "void"


async def test_items_that_stripe_left_out_are_listed(stripe_client: StripeClient, api: Any) -> None:
    subscription = await subscribe(api)
    told = subscription.to_dict()
    cut = {**told, "items": {**told["items"], "data": [], "has_more": True}}
    reader = BillingReader(stripe_client)
    read = await reader.read("default", BillingKind.SUBSCRIPTION, cut)
    assert read == read_object(BillingKind.SUBSCRIPTION, told)
    assert len(read.content["items"]) == 1


async def test_a_deleted_draft_is_told_and_an_upcoming_invoice_is_none(
    database_url: str, twin: Twin, api: Any
) -> None:
    async with running_gateway(database_url, twin, billing=True) as gateway:
        await subscribe(api)
        (invoice,) = at_twin(twin, "invoice")
        await watched(gateway.channel, lambda last: invoice["id"] in last)
        account = twin.account()
        account.emit("invoice.upcoming", {**invoice, "id": f"upcoming_{invoice['id']}"})
        account.objects("invoice").remove(invoice["id"])
        account.emit("invoice.deleted", invoice)
        _, last = await watched(
            gateway.channel,
            lambda last: invoice["id"] in last and last[invoice["id"]].status == "deleted",
        )
    assert last[invoice["id"]].total.minor_units == 18_00
    assert not [key for key in last if key.startswith("upcoming")]


async def test_a_restore_outdates_cursors(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    row = (
        "INSERT INTO billing_change VALUES (3, 'default', 'invoice', 'in_1', '{\"id\": \"in_1\"}',"
        " '2026-11-30Z')"
    )
    async with engine.begin() as connection:
        await connection.execute(text(row))
    async with engine.begin() as connection:
        await begin_epoch(connection)
    async with running_gateway(database_url, twin) as gateway:
        stub: Any = BillingServiceStub(gateway.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.WatchBilling(pb.WatchBillingRequest(after_sequence=4)).read()
        refused = from_rpc_error(caught.value)
        told = await stub.WatchBilling(pb.WatchBillingRequest()).read()
    assert (refused.reason, refused.metadata["after_sequence"]) == ("CURSOR_OUTDATED", "3")
    assert (told.sequence, told.epoch, told.invoice.id) == (3, FIRST, "in_1")


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"corridor": "default", "kind": "invoice", **labels})


async def test_walks_are_told_of(
    walks: BillingWalks, engine: AsyncEngine, twin: Twin, api: Any, clock: ManualClock
) -> None:
    results = ("finished", "page", "stopped")
    before = {result: told("gateway_billing_walks_total", result=result) for result in results}
    unreadable = told("gateway_billing_unreadable_total")
    assert None not in (*before.values(), unreadable)
    await subscribe(api)
    first = at_twin(twin, "invoice")[0]
    for number in range(PAGE_SIZE):
        twin.account().objects("invoice").add({**first, "id": f"in_more{number}"})
    first["currency"] = None
    begun = clock.now()
    fault = {"kind": "rate_limit", "method": "GET", "path": "/v1/invoices", "count": 20}
    twin.add_fault(**fault)
    await walked(walks)
    # Before the first walk has ended its age is that of the wish for it.
    assert told("gateway_billing_last_walk_timestamp_seconds") == begun.timestamp()
    twin.faults.clear()
    clock.advance(timedelta(hours=1))
    await walked(walks)
    assert told("gateway_billing_last_walk_timestamp_seconds") == clock.now().timestamp()
    for result in results:
        after = told("gateway_billing_walks_total", result=result)
        assert after == (before[result] or 0) + 1, result
    assert told("gateway_billing_unreadable_total") == (unreadable or 0) + 1
    assert REGISTRY.get_sample_value("gateway_billing_walk_interval_seconds") == 86_400
