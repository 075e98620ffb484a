"""Idle workers wake when something comes in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks.consumer import WebhookConsumer
from gateway.webhooks.event import StripeEvent, read_event
from gateway.webhooks.inbox import PostgresInbox
from gateway.webhooks.router import EventRouter
from gateway.webhooks.schema import CHANNEL
from gateway.webhooks.wake import Listener, Subscription
from runtime.clock import ManualClock
from tests.gateway.webhooks.conftest import ROLE, event_body

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

    listener = Listener(database_url, ROLE, CHANNEL)
    async with running(listener):
        with listener.subscribe() as wake:
            idle = IdleWatch(wake)
            consumer = WebhookConsumer(
                inbox, EventRouter({"payment_intent.*": handle}), clock, idle
            )
            working = asyncio.create_task(consumer.run())
            await idle.began.wait()
            await inbox.store(read_event(event_body(), "default"))
            async with asyncio.timeout(10):
                await done.wait()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working


async def test_every_subscription_is_told(engine: AsyncEngine, database_url: str) -> None:
    listener = Listener(database_url, ROLE, CHANNEL)
    with listener.subscribe() as first, listener.subscribe() as second:
        async with running(listener):
            await first.wait(LONG)
            await second.wait(LONG)
            async with engine.begin() as connection:
                await connection.execute(text(f"NOTIFY {CHANNEL}"))
            async with asyncio.timeout(10):
                await asyncio.gather(first.wait(LONG), second.wait(LONG))


async def test_a_lost_connection_is_made_again(engine: AsyncEngine, database_url: str) -> None:
    listener = Listener(database_url, ROLE, CHANNEL)
    with listener.subscribe() as wake:
        async with running(listener):
            await wake.wait(LONG)
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL ROLE NONE"))
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = :name"
                    ),
                    {"name": f"listener {CHANNEL}"},
                )
            async with asyncio.timeout(10):
                # It is told as soon as it listens again, for something may have got lost.
                await wake.wait(LONG)
            assert listener.listening.is_set()


async def test_waiting_ends_by_itself() -> None:
    wake = Subscription()
    await wake.wait(0.01)
    wake.tell()
    await wake.wait(LONG)
