"""Thin events from the twin: signed, taken in as pointers, and what they point at is fetched."""

from aiohttp import web
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.webhooks_in.buffer import PostgresBuffer
from gateway.webhooks_in.consumer import WebhookConsumer
from gateway.webhooks_in.event import StripeEvent
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.receiver import WebhookReceiver
from gateway.webhooks_in.router import EventRouter
from runtime.clock import SystemClock
from runtime.notifier import Notifier
from sandbox.stripe_twin.twin import Twin
from tests.gateway.webhooks_in.buffers import at_last
from tests.gateway.webhooks_in.recovering import CHARGE
from tests.gateway.webhooks_in.working import work_off


async def test_what_a_thin_event_is_about_is_fetched(twin: Twin, engine: AsyncEngine) -> None:
    clock, account = SystemClock(), twin.account()
    inbox = PostgresInbox(engine, clock)
    corridor = Corridor(
        name="default",
        api_key=SecretStr(account.secret_key),
        api_base=twin.url,
        webhook_secrets=(SecretStr(account.webhook_secret),),
    )
    application = web.Application()
    receiver = WebhookReceiver([corridor], PostgresBuffer(inbox, clock), clock)
    application.add_routes(receiver.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    twin.register_webhook(f"http://127.0.0.1:{port}/webhooks/stripe/default", thin=True)
    fetched: list[tuple[StripeEvent, str]] = []
    async with open_stripe_client([corridor], engine) as opened:

        async def fetch(event: StripeEvent) -> None:
            outcome = await opened.client.retrieve_payment_intent("default", event.object_id, {})
            assert outcome.object is not None
            fetched.append((event, str(outcome.object["status"])))

        made = await opened.client.create_payment_intent("default", CHARGE, "key-1")
        assert made.object is not None
        router = EventRouter({"payment_intent.succeeded": fetch})
        consumer = WebhookConsumer(inbox, router, clock, Notifier())

        async def has_come() -> bool:
            await work_off(consumer)
            return bool(fetched)

        await at_last(has_come)
    ((event, status),) = fetched
    assert status == "succeeded"
    assert event.event_type == "v1.payment_intent.succeeded"
    assert event.object_id == made.object["id"]
    assert event.object.keys() == {"id", "type", "url"}, "nothing but the pointer came"
    await runner.cleanup()
