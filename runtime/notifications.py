"""Waking those who wait: within a process at once, between processes by PostgreSQL's NOTIFY.

Nothing depends on a wake-up: whoever waits looks by itself after a while, too.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from runtime.logs import get_logger
from runtime.postgres import connect

RECONNECT_SECONDS = 1.0
# Notifications are waited for in slices, so that a connection that died silently is noticed.
SLICE_SECONDS = 30.0

log = get_logger(__name__)


class Notifier:
    """Wakes everybody who waits. Take a token, look, then wait: no notification is missed."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def token(self) -> asyncio.Event:
        """The notification that comes next."""
        return self._next

    def notify(self) -> None:
        """Wakes all who hold a token."""
        self._next.set()
        self._next = asyncio.Event()

    @staticmethod
    async def wait(token: asyncio.Event, seconds: float) -> None:
        """Returns when notified, at the latest after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await token.wait()


class Subscription:
    """One waiter's view of a notifier: remembers a notification until it is waited for."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._token = notifier.token()

    async def wait(self, seconds: float) -> None:
        """Returns when notified since the last return, at the latest after that time."""
        await Notifier.wait(self._token, seconds)
        self._token = self._notifier.token()


class Listener:
    """Passes each notification of a channel on to its notifier, for as long as `run` runs."""

    def __init__(
        self, database_url: str, *, role: str | None, notifiers: Mapping[str, Notifier], name: str
    ) -> None:
        """`notifiers` by channel; `name` is what the connection is called at the server."""
        self._database_url = database_url
        self._role = role
        self._notifiers = notifiers
        self._name = name
        self.listening = asyncio.Event()
        """Set while connected: from then on no notification is missed."""

    async def run(self) -> None:
        """Listens until cancelled; reconnects for as long as it takes."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("listener_lost", name=self._name, error=type(error).__name__)
            self.listening.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection: psycopg.AsyncConnection[Any] = await connect(
            self._database_url, role=self._role, application_name=self._name
        )
        async with connection:
            for channel in self._notifiers:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self.listening.set()
            for notifier in self._notifiers.values():
                # Something may have come in while we were not connected.
                notifier.notify()
            while True:
                async for notification in connection.notifies(timeout=SLICE_SECONDS):
                    self._notifiers[notification.channel].notify()
                await connection.execute("SELECT 1")
