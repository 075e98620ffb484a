"""Waking idle workers: PostgreSQL's NOTIFY, with a poll behind it for what got lost."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from runtime.logs import get_logger
from runtime.postgres import connect

RECONNECT_SECONDS = 1.0
# Notifications are waited for in slices, so that a connection that died silently is noticed.
LISTEN_SECONDS = 30.0

log = get_logger(__name__)


class Subscription:
    """One waiter's view of a channel: remembers a notification until it is waited for."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Wakes the waiter, now or when it waits next."""
        self._told.set()

    async def wait(self, seconds: float) -> None:
        """Returns when told since the last return, at the latest after that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return
        self._told.clear()


class Listener:
    """Listens on a channel for as long as `run` runs, and wakes whoever has subscribed."""

    def __init__(self, database_url: str, role: str | None, channel: str) -> None:
        self._database_url = database_url
        self._role = role
        self._channel = channel
        self._subscriptions: set[Subscription] = set()
        self.listening = asyncio.Event()
        """Set while connected: from then on no notification is missed."""

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """A subscription that lasts as long as the block."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def run(self) -> None:
        """Listens until cancelled; reconnects for as long as it takes."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("listener_lost", channel=self._channel, error=type(error).__name__)
            self.listening.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection: psycopg.AsyncConnection[Any] = await connect(
            self._database_url, role=self._role, application_name=f"listener {self._channel}"
        )
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self.listening.set()
            # Something may have come in while we were not connected.
            self._tell_all()
            while True:
                async for _ in connection.notifies(timeout=LISTEN_SECONDS):
                    self._tell_all()
                await connection.execute("SELECT 1")

    def _tell_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.tell()
