"""Waking those who wait: within the process at once, between processes by NOTIFY.

Nothing depends on a wake-up: whoever waits looks by itself after a while, too.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from runtime.logs import get_logger
from runtime.postgres import connect

RECONNECT_SECONDS = 1.0
# Notifications are waited for in slices, so that a connection that died silently is noticed.
LISTEN_SECONDS = 30.0

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


class PaymentBells:
    """A bell for each payment that somebody in this process waits for."""

    def __init__(self) -> None:
        self._bells: dict[str, tuple[Bell, int]] = {}
        # Rings whenever any payment's bell does.
        self.any = Bell()

    @contextlib.contextmanager
    def listening(self, payment_id: str) -> Iterator[Bell]:
        """The payment's bell, for as long as the block runs."""
        bell, listeners = self._bells.get(payment_id, (Bell(), 0))
        self._bells[payment_id] = (bell, listeners + 1)
        try:
            yield bell
        finally:
            _, listeners = self._bells[payment_id]
            if listeners == 1:
                del self._bells[payment_id]
            else:
                self._bells[payment_id] = (bell, listeners - 1)

    def ring(self, payment_id: str) -> None:
        """Something happened to the payment."""
        self.any.ring()
        if payment_id in self._bells:
            self._bells[payment_id][0].ring()


async def ring_on_notify(
    database_url: str, role: str, bells: Mapping[str, Bell], application_name: str
) -> None:
    """Rings the bell of each channel that is notified; until cancelled, reconnecting."""
    while True:
        try:
            await _listen(database_url, role, bells, application_name)
        except (psycopg.Error, OSError) as error:
            log.warning("listener_lost", error=type(error).__name__)
        await asyncio.sleep(RECONNECT_SECONDS)


async def _listen(
    database_url: str, role: str, bells: Mapping[str, Bell], application_name: str
) -> None:
    connection: psycopg.AsyncConnection[Any] = await connect(
        database_url, role=role, application_name=application_name
    )
    async with connection:
        for channel in bells:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        for bell in bells.values():
            # Something may have come in while we were not connected.
            bell.ring()
        while True:
            async for notification in connection.notifies(timeout=LISTEN_SECONDS):
                bells[notification.channel].ring()
            await connection.execute("SELECT 1")
