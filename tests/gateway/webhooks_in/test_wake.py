"""Idle workers wake when something comes in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.webhooks_in.consumer import WebhookConsumer
from gateway.webhooks_in.event import StripeEvent, read_event
from gateway.webhooks_in.inbox import CHANNEL, PostgresInbox
from gateway.webhooks_in.router import EventRouter
from runtime.clock import ManualClock
from runtime.notifications import Listener, Notifier, Subscription
from tests.gateway.webhooks_in.conftest import ROLE, event_body

LONG = 60.0


class IdleWatch:
    """A wake that says when the worker began to wait, and never ends the wait by itself."""

    def __init__(self, wake: Subscription) -> None:
        self._wake = wake
        self.began = asyncio.Event()

    async def wait(self, _seconds: float) -> None:
        self.began.set()
        await self._wake.wait(LONG)


@asynccontextmanager
async def running(listener: Listener) -> AsyncIterator[None]:
    task = asyncio.create_task(listener.run())
    try:
        await listener.listening.wait()
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


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
        idle = IdleWatch(Subscription(notifier))
        consumer = WebhookConsumer(inbox, EventRouter({"payment_intent.*": handle}), clock, idle)
        working = asyncio.create_task(consumer.run())
        await idle.began.wait()
        await inbox.store(read_event(event_body(), "default"))
        async with asyncio.timeout(10):
            assert await done.wait()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
