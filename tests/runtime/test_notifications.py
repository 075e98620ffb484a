"""Workers wake when told, and the listener survives the loss of its connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg

from runtime.notifications import Listener, Notifier

PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def running(listener: Listener) -> AsyncIterator[None]:
    task = asyncio.create_task(listener.run())
    try:
        await asyncio.wait_for(listener.listening.wait(), PATIENCE_SECONDS)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_notified(token: asyncio.Event) -> bool:
    await Notifier.wait(token, PATIENCE_SECONDS)
    return token.is_set()


async def test_a_notification_wakes_the_notifier_of_its_channel_only(
    new_database: Callable[[str], str],
) -> None:
    url = new_database("sample")
    things, others = Notifier(), Notifier()
    listener = Listener(url, role=None, notifiers={"things": things, "others": others}, name="test")
    async with running(listener), await psycopg.AsyncConnection.connect(url) as other:
        first, second, elsewhere = things.token(), things.token(), others.token()
        await other.execute("NOTIFY things")
        await other.commit()
        assert await is_notified(first)
        assert await is_notified(second)
        assert not elsewhere.is_set()


async def test_a_lost_connection_is_made_again(new_database: Callable[[str], str]) -> None:
    url = new_database("sample")
    notifier = Notifier()
    listener = Listener(url, role=None, notifiers={"things": notifier}, name="test listener")
    async with (
        running(listener),
        await psycopg.AsyncConnection.connect(url, autocommit=True) as other,
    ):
        token = notifier.token()
        cursor = await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'test listener'"
        )
        assert await cursor.fetchall() == [(True,)]
        assert await is_notified(token)  # For what it may have missed.
        await asyncio.wait_for(listener.listening.wait(), PATIENCE_SECONDS)
        token = notifier.token()
        await other.execute("NOTIFY things")
        assert await is_notified(token)
