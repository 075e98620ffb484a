"""Keeping the books, as one process with the role worker takes part in it."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.ledger_client import LedgerBooks
from gateway.bookkeeping.reporting import CHANNEL
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from gateway.config import GatewaySettings
from gateway.part import Part
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.notifier import Notifier

LEDGER_TIMEOUT_SECONDS = 10.0


@asynccontextmanager
async def open_bookkeeping(
    settings: GatewaySettings, engine: AsyncEngine, clock: Clock
) -> AsyncIterator[Part]:
    """Opens the channel to the ledger; a batch in hand is finished before the loops have ended."""
    channel = open_channel(
        settings.ledger_address,
        settings,
        idempotent_services=["ledger.v1.LedgerService"],
        default_timeout=min(LEDGER_TIMEOUT_SECONDS, settings.call_seconds),
    )
    worker = BookkeepingWorker(
        BookingStore(engine, settings.ledger_name),
        LedgerBooks(channel, settings.ledger_name),
        clock,
        random=random.SystemRandom(),
        limits=WorkerLimits(lease=settings.lease),
    )
    notifier = Notifier()
    try:
        yield Part(
            worker_loops=(worker.loop(notifier, settings.drain_seconds),),
            notifiers={CHANNEL: notifier},
        )
    finally:
        await channel.close()
