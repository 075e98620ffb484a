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


class Bell:
    """Wakes everybody who waits. Take a ticket, look, then wait: a ring in between counts."""

    def __init__(self) -> None:
        self._next_ring = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """The ring that comes next."""
        return self._next_ring

    def ring(self) -> None:
        """Wakes all who hold a ticket."""
        self._next_ring.set()
        self._next_ring = asyncio.Event()

    @staticmethod
    async def wait(ticket: asyncio.Event, seconds: float) -> None:
        """Returns at the ring, at the latest after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ticket.wait()


class Subscription:
    """One waiter's view of a bell: remembers a ring until it is waited for."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._ticket = bell.ticket()

    async def wait(self, seconds: float) -> None:
        """Returns when rung since the last return, at the latest after that time."""
        await Bell.wait(self._ticket, seconds)
        self._ticket = self._bell.ticket()


class Listener:
    """Rings a bell for each notification on its channel, for as long as `run` runs."""

    def __init__(
        self, database_url: str, *, role: str | None, bells: Mapping[str, Bell], name: str
    ) -> None:
        """`bells` by channel; `name` is what the connection is called at the server."""
        self._database_url = database_url
        self._role = role
        self._bells = bells
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
            for channel in self._bells:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self.listening.set()
            for bell in self._bells.values():
                # Something may have come in while we were not connected.
                bell.ring()
            while True:
                async for notification in connection.notifies(timeout=SLICE_SECONDS):
                    self._bells[notification.channel].ring()
                await connection.execute("SELECT 1")
