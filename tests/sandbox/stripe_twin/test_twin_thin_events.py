"""Thin events: notifications that the SDK verifies, and fetches the rest of."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stripe
from aiohttp import web

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin
from tests.sandbox.stripe_twin.merchants import onboarded_account
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DESTINATION: Any = {
    "name": "thin",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
}


@asynccontextmanager
async def listening(take: Callable[[bytes, str], None]) -> AsyncIterator[str]:
    """The URL of a server that gives each body and signature to `take`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        take(await request.read(), request.headers["Stripe-Signature"])
        return web.Response()

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/thin"
    finally:
        await runner.cleanup()


class Notified:
    """Verifies and keeps what a destination is sent."""

    def __init__(self, client: stripe.StripeClient, secret: str) -> None:
        self.client = client
        self.secret = secret
        self.notifications: list[Any] = []

    def take(self, body: bytes, signature: str) -> None:
        """One webhook."""
        parse = self.client.parse_event_notification
        self.notifications.append(parse(body, signature, self.secret))


async def test_a_payment_is_told_thin_and_fetched(shop: Shop, twin: Twin) -> None:
    notified = Notified(shop.client, DEFAULT_ACCOUNT.webhook_secret)
    async with listening(notified.take) as url:
        twin.register_webhook(url, thin=True, enabled_events=["v1.payment_intent.succeeded"])
        paid = await shop.pay()
        await twin.webhooks.drained()
    (notification,) = notified.notifications
    assert notification.type == "v1.payment_intent.succeeded"
    assert notification.related_object.url == f"/v1/payment_intents/{paid.id}"
    assert notification.reason.request.idempotency_key.startswith("key-")
    event = await notification.fetch_event_async()
    snapshot = await shop.api.events.retrieve_async(event.snapshot_event)
    assert snapshot.data.object["id"] == paid.id
    intent = await notification.fetch_related_object_async()
    assert (intent.id, intent.status) == (paid.id, "succeeded")
    assert (await shop.api.events.list_async({"delivery_success": False})).data == []


async def test_a_connected_account_is_named_by_the_context(shop: Shop, twin: Twin) -> None:
    account = await onboarded_account(shop)
    notified = Notified(shop.client, DEFAULT_ACCOUNT.webhook_secret)
    async with listening(notified.take) as url:
        twin.register_webhook(url, thin=True, connect=True, enabled_events=["v1.charge.succeeded"])
        await shop.pay()
        paid = await shop.pay(options=fresh_key(account))
        await twin.webhooks.drained()
    (notification,) = notified.notifications
    assert str(notification.context) == account
    charge = await notification.fetch_related_object_async()
    assert charge.id == paid.latest_charge


async def test_a_destination_lives_as_the_sdk_has_it(shop: Shop, twin: Twin) -> None:
    destinations = shop.client.v2.core.event_destinations
    heard: list[bytes] = []
    async with listening(lambda body, _: heard.append(body)) as url:
        params = {**DESTINATION, "enabled_events": ["*"], "webhook_endpoint": {"url": url}}
        created = await destinations.create_async(params, fresh_key())  # type: ignore[arg-type]
        assert problems(stripe.v2.core.EventDestination, created.to_dict()) == []
        assert created.webhook_endpoint is not None
        assert created.webhook_endpoint.url == url
        secret = created.webhook_endpoint.signing_secret
        assert secret is not None
        found = await destinations.retrieve_async(created.id)
        assert found.webhook_endpoint is not None
        assert (found.webhook_endpoint.signing_secret, found.webhook_endpoint.url) == (None, None)

        ping = await destinations.ping_async(created.id, None, fresh_key())
        await twin.webhooks.drained()

        notification = stripe.v2.core.EventNotification.from_json(heard.pop(), shop.client)
        assert (notification.id, notification.type) == (ping.id, "v2.core.event_destination.ping")
        disabled = await destinations.disable_async(created.id, None, fresh_key())
        assert (disabled.status, disabled.status_details is None) == ("disabled", False)
        await shop.pay()
        await destinations.enable_async(created.id, None, fresh_key())
        renamed = await destinations.update_async(
            created.id, {"name": "renamed", "enabled_events": ["v1.customer.*"]}, fresh_key()
        )
        assert renamed.name == "renamed"
        await shop.pay()
        await shop.api.customers.create_async({"name": "Ada"}, fresh_key())
        await twin.webhooks.drained()
        assert len(heard) == 1
        assert b"v1.customer.created" in heard[0]
        listed = await destinations.list_async()
        assert [item.id for item in listed.data] == [created.id]
        deleted = await destinations.delete_async(created.id, None, fresh_key())
        assert deleted.id == created.id
        with pytest.raises(stripe.InvalidRequestError):
            await destinations.retrieve_async(created.id)


async def test_v2_events_are_listed_by_pages(shop: Shop) -> None:
    paid = await shop.pay()
    await shop.pay()
    list_events = shop.client.v2.core.events.list_async
    page = await list_events({"limit": 3})
    assert [problems(stripe.v2.core.Event, item.to_dict()) for item in page.data] == [
        [".related_object: unknown to the SDK"]
    ] * 3
    kinds = [item.type async for item in page.auto_paging_iter()]
    assert len(kinds) == 8
    assert kinds[-1] == "v1.payment_intent.created"
    about = await list_events({"object_id": paid.id, "types": ["v1.payment_intent.succeeded"]})
    assert [item.type for item in about.data] == ["v1.payment_intent.succeeded"]
    assert (await list_events({"created": {"gt": "2100-01-01T00:00:00Z"}})).data == []
    with pytest.raises(stripe.InvalidRequestError):
        await list_events({"created": {"gt": "yesterday"}})


async def test_what_the_v2_api_refuses(shop: Shop) -> None:
    destinations = shop.client.v2.core.event_destinations
    params = {**DESTINATION, "enabled_events": ["*"], "webhook_endpoint": {"url": "https://a.test"}}
    for changed in ({"colour": "red"}, {"type": "amazon_eventbridge"}, {"events_from": ["moon"]}):
        with pytest.raises(stripe.InvalidRequestError):
            await destinations.create_async({**params, **changed}, fresh_key())  # type: ignore[typeddict-item]
    with pytest.raises(stripe.InvalidRequestError):
        await shop.client.v2.core.events.retrieve_async("evt_test_nothing")
