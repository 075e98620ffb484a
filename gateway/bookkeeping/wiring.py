"""Keeping the books, as one process with the role worker takes part in it, and the command that
has them kept again."""

import random
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.ledger_check import LedgerCheck
from gateway.bookkeeping.ledger_client import LedgerBooks, LedgerUnavailableError
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.rebooking import Rebooking
from gateway.bookkeeping.reporting import CHANNEL
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from gateway.config import DATABASE_ROLE, GatewaySettings
from gateway.part import Part
from runtime.acts import Act, add_by, open_act_log
from runtime.client import open_channel
from runtime.clock import Clock, SystemClock
from runtime.migrations import prepare_database
from runtime.notifier import Notifier
from runtime.postgres import close_engine, create_engine
from runtime.process import Command

LEDGER_TIMEOUT_SECONDS = 10.0
# `python -m gateway rebook`: not everything is booked, and connections to the database.
EXIT_NOT_ALL_BOOKED = 1
REBOOK_POOL_SIZE = 2


@dataclass(frozen=True, kw_only=True)
class Bookkeeping(Part):
    """The part, and what others read of the ledger."""

    ledger_log: LedgerLog


@asynccontextmanager
async def open_bookkeeping(
    settings: GatewaySettings, engine: AsyncEngine, clock: Clock
) -> AsyncIterator[Bookkeeping]:
    """Opens the channel to the ledger; a batch in hand is finished before the loops have ended."""
    channel = open_ledger_channel(settings)
    store = BookingStore(engine, settings.ledger_name)
    worker = booking_worker(settings, store, channel, clock)
    ledger_log = LedgerLog(channel, settings.ledger_name)
    notifier = Notifier()
    try:
        yield Bookkeeping(
            worker_loops=(worker.loop(notifier, settings.drain_seconds),),
            leader_tasks=(LedgerCheck(store.standing, ledger_log, clock).loop(),),
            notifiers={CHANNEL: notifier},
            ledger_log=ledger_log,
        )
    finally:
        await channel.close()


def open_ledger_channel(settings: GatewaySettings) -> grpc.aio.Channel:
    """A channel to the ledger service; the caller closes it."""
    return open_channel(
        settings.ledger_address,
        settings,
        idempotent_services=["ledger.v1.LedgerService", "ledger.v1.AuditService"],
        default_timeout=min(LEDGER_TIMEOUT_SECONDS, settings.call_seconds),
    )


def booking_worker(
    settings: GatewaySettings, store: BookingStore, channel: grpc.aio.Channel, clock: Clock
) -> BookkeepingWorker:
    """A worker on this channel."""
    return BookkeepingWorker(
        store,
        LedgerBooks(channel, settings.ledger_name),
        clock,
        random=random.SystemRandom(),
        limits=WorkerLimits(lease=settings.lease),
    )


async def rebook(settings: GatewaySettings, arguments: Namespace) -> int:
    """Compares the ledger with the bookings and books what is missing; the exit status."""
    url = await prepare_database(settings)
    clock = SystemClock()
    engine = create_engine(
        url, role=DATABASE_ROLE, pool_size=REBOOK_POOL_SIZE, application_name="gateway rebook"
    )
    channel = open_ledger_channel(settings)
    try:
        store = BookingStore(engine, settings.ledger_name)
        ledger = LedgerLog(channel, settings.ledger_name)
        worker = booking_worker(settings, store, channel, clock)
        async with (
            open_act_log(url, DATABASE_ROLE, clock) as acts,
            acts.act(Act(arguments.by, "gateway rebook")),
        ):
            rebooked = await Rebooking(store, ledger, worker, clock, _tell).run()
    except LedgerUnavailableError as error:
        _tell(f"{error}; run it again, it goes on")
        return EXIT_NOT_ALL_BOOKED
    finally:
        await channel.close()
        await close_engine(engine)
    _tell(f"booked again: {rebooked.missing:,}; refused by the ledger: {rebooked.refused:,}")
    return EXIT_NOT_ALL_BOOKED if rebooked.refused else 0


def _tell(line: str) -> None:
    print(line, flush=True)


REBOOK = Command[GatewaySettings](
    "rebook",
    help="have facts booked again that a restored ledger has lost",
    description="Compares the bookings with the ledger's log, has those booked again that are not"
    " where the ledger said that they are, and lets the booking go on, which stops when the ledger"
    " has not what it had. It may be ended and started again at any time, and while the gateway"
    " runs; nothing is booked twice.",
    run=rebook,
    configure=add_by,
)
