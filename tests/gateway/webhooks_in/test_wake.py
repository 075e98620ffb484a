"""Idle workers wake when something comes in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import REGISTRY

from gateway.webhooks_in.consumer import ConsumerPolicy, WebhookConsumer
from gateway.webhooks_in.event import StripeEvent, read_event
from gateway.webhooks_in.inbox import CHANNEL, PostgresInbox
from gateway.webhooks_in.router import EventRouter
from runtime.clock import ManualClock
from runtime.notifications import Listener, Notifier
from runtime.tasks import cancel
from sandbox.polling import poll
from tests.gateway.webhooks_in.conftest import ROLE, event_body

LONG = 60.0


# An idle worker does not look by itself within a test's time.
PATIENT = ConsumerPolicy(poll_seconds=LONG)


async def rounds() -> float:
    """How many rounds of the loop have ended."""
    return REGISTRY.get_sample_value("loop_rounds_total", {"loop": "webhook processing"}) or 0


@asynccontextmanager
async def running(listener: Listener) -> AsyncIterator[None]:
    task = asyncio.create_task(listener.run())
    try:
        await listener.listening.wait()
        yield
    finally:
        await cancel(task)


async def test_a_stored_event_wakes_an_idle_worker(
    inbox: PostgresInbox, clock: ManualClock, database_url: str
) -> None:
    done = asyncio.Event()

    async def handle(_event: StripeEvent) -> None:
        done.set()

    notifier = Notifier()
    listener = Listener(
        database_url, role=ROLE, notifiers={CHANNEL: notifier}, name="webhook listener"
    )
    async with running(listener):
        router = EventRouter({"payment_intent.*": handle})
        consumer = WebhookConsumer(inbox, router, clock, notifier, policy=PATIENT)
        before = await rounds()
        working = asyncio.create_task(consumer.loop().run())
        # It has found nothing, and rests.
        await poll(rounds, lambda count: count > before)
        await inbox.store(read_event(event_body(), "default"))
        async with asyncio.timeout(10):
            assert await done.wait()
        await cancel(working)
