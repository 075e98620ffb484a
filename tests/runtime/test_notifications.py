"""Workers wake when told, and the listener survives the loss of its connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg

from runtime.notifications import Listener

PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def running(listener: Listener) -> AsyncIterator[None]:
    task = asyncio.create_task(listener.run())
    try:
        await asyncio.wait_for(listener.listening.wait(), PATIENCE_SECONDS)
        await listener.wait(PATIENCE_SECONDS)  # Told once on connecting.
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_notification_wakes_the_waiter(new_database: Callable[[str], str]) -> None:
    url = new_database("sample")
    listener = Listener(url, role=None, channel="things")
    async with running(listener), await psycopg.AsyncConnection.connect(url) as other:
        waiting = asyncio.create_task(listener.wait(PATIENCE_SECONDS))
        await other.execute("NOTIFY things")
        await other.commit()
        await asyncio.wait_for(waiting, PATIENCE_SECONDS / 2)
        assert not listener._told.is_set()


async def test_a_lost_connection_is_made_again(new_database: Callable[[str], str]) -> None:
    url = new_database("sample")
    listener = Listener(url, role=None, channel="things")
    async with (
        running(listener),
        await psycopg.AsyncConnection.connect(url, autocommit=True) as other,
    ):
        cursor = await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'listener things'"
        )
        assert await cursor.fetchall() == [(True,)]
        await listener.wait(PATIENCE_SECONDS)  # Told again, for what it may have missed.
        await asyncio.wait_for(listener.listening.wait(), PATIENCE_SECONDS)
        waiting = asyncio.create_task(listener.wait(PATIENCE_SECONDS))
        await other.execute("NOTIFY things")
        await asyncio.wait_for(waiting, PATIENCE_SECONDS / 2)
