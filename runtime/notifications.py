"""Waking idle workers: PostgreSQL's NOTIFY, with the worker's own poll behind it."""

import asyncio
from typing import Any

import psycopg
from psycopg import sql

from runtime.logs import get_logger
from runtime.postgres import connect

RECONNECT_SECONDS = 1.0
# Notifications are waited for in slices, so that a connection that died silently is noticed.
SLICE_SECONDS = 30.0

log = get_logger(__name__)


class Listener:
    """Listens on a channel for as long as `run` runs, and wakes whoever waits.

    While the connection is away nothing is lost but speed: a worker looks by itself, too.
    """

    def __init__(self, database_url: str, *, role: str | None, channel: str) -> None:
        self._database_url = database_url
        self._role = role
        self._channel = channel
        self._told = asyncio.Event()
        self.listening = asyncio.Event()
        """Set while connected: from then on no notification is missed."""

    def tell(self) -> None:
        """Wakes the waiter from within the process."""
        self._told.set()

    async def wait(self, seconds: float) -> None:
        """Returns when notified since the last return, at the latest after that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return
        self._told.clear()

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
            self._told.set()
            while True:
                async for _ in connection.notifies(timeout=SLICE_SECONDS):
                    self._told.set()
                await connection.execute("SELECT 1")
