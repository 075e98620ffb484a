"""Waking those who wait between processes, by PostgreSQL's NOTIFY."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from psycopg import sql

from runtime.backoff import Backoff
from runtime.database import Database
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier

__all__ = ["Listener", "Notifier"]

# Notifications are waited for in slices, so that a connection that died silently is noticed.
SLICE_SECONDS = 30.0
RECONNECT = Backoff(timedelta(milliseconds=100), timedelta(seconds=1))


class Listener:
    """Passes each notification of a channel on to its notifier, for as long as its loop runs."""

    def __init__(
        self,
        database: Database | str,
        *,
        role: str | None,
        notifiers: Mapping[str, Notifier],
        name: str,
    ) -> None:
        """`notifiers` by channel; `name` is what the connection is called at the server."""
        self._database = Database.of(database)
        self._role = role
        self._notifiers = notifiers
        self._name = name
        self.listening = asyncio.Event()
        """Set while connected: from then on no notification is missed."""

    def loop(self) -> Loop:
        """Listens; reconnects for as long as it takes."""
        return Loop(self._name, session=self._listen, poll_seconds=SLICE_SECONDS, backoff=RECONNECT)

    async def run(self) -> None:
        """Listens until cancelled."""
        await self.loop().run()

    async def _listen(self) -> Rounds:
        """One connection; a round is a slice."""
        connection = await self._database.connect(role=self._role, application_name=self._name)
        try:
            async with connection:
                for channel in self._notifiers:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                self.listening.set()
                for notifier in self._notifiers.values():
                    # Something may have come in while we were not connected.
                    notifier.notify()
                while True:  # Until the loop closes it.
                    async for notification in connection.notifies(timeout=SLICE_SECONDS):
                        self._notifiers[notification.channel].notify()
                    await connection.execute("SELECT 1")
                    yield True
        finally:
            self.listening.clear()
