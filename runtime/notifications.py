"""Waking those who wait: within a process at once, between processes by PostgreSQL's NOTIFY.

Nothing depends on a wake-up: whoever waits looks by itself after a while, too.
"""

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
