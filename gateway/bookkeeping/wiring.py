"""Keeping the books, as one process takes part in it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.bookkeeping.ledger_client import LedgerBooks
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from gateway.parts import Parts
from runtime.client import open_channel
from runtime.notifications import Subscription

LEDGER_TIMEOUT_SECONDS = 10.0


@asynccontextmanager
async def keeping_books(parts: Parts) -> AsyncIterator[None]:
    """The bookkeeping worker; on exit it finishes the batch in hand."""
    settings = parts.settings
    channel = open_channel(
        settings.ledger_address,
        settings,
        idempotent_services=["ledger.v1.LedgerService"],
        default_timeout=min(LEDGER_TIMEOUT_SECONDS, settings.call_seconds),
    )
    worker = BookkeepingWorker(
        BookingStore(parts.engine, settings.ledger_name),
        LedgerBooks(channel, settings.ledger_name),
        parts.clock,
        random=random.SystemRandom(),
        limits=WorkerLimits(lease=settings.lease),
    )
    stop = asyncio.Event()
    work = asyncio.create_task(
        worker.run(Subscription(parts.booking_notifier), stop), name="bookkeeping"
    )
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(work, settings.drain_seconds)
        await channel.close()
