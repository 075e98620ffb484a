"""The worker's loop: woken by reports, patient with outages, quick to stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random

import grpc

from gateway.bookkeeping.ledger_client import LedgerBooks, Outcome
from gateway.bookkeeping.ledger_requests import LedgerItem
from gateway.bookkeeping.reporting import CHANNEL, BookingState
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from runtime.backoff import Backoff
from runtime.loops import LoopEnded, Supervisor
from runtime.notifications import Listener, Notifier
from tests.gateway.bookkeeping.conftest import LEDGER, ROLE, Gateway, captured, hold
from tests.gateway.bookkeeping.fake_ledger import FakeLedger, served

# Without a notification nothing would happen within a test's time.
PATIENT = WorkerLimits(
    poll=timedelta(hours=1),
    backoff=Backoff(timedelta(milliseconds=100), timedelta(milliseconds=200)),
)
FINISH_SECONDS = 10.0


async def unexpected(ended: LoopEnded) -> None:
    """No loop ends by itself here."""
    raise AssertionError(ended)


@asynccontextmanager
async def working(gateway: Gateway, worker: BookkeepingWorker) -> AsyncIterator[None]:
    """The worker's loop with its listener, stopped at the end as a service stops it."""
    notifier, supervisor = Notifier(), Supervisor(unexpected)
    listener = Listener(
        gateway.url, role=ROLE, notifiers={CHANNEL: notifier}, name="booking listener"
    )
    async with supervisor.running(listener.loop()):
        async with asyncio.timeout(30):
            await listener.listening.wait()
        async with supervisor.running(worker.loop(notifier, FINISH_SECONDS)):
            yield
    assert supervisor.stopped_because is None


async def _until_booked(gateway: Gateway, payment_id: str) -> None:
    async with asyncio.timeout(30):
        while (await gateway.bookings(payment_id)).state is not BookingState.BOOKED:
            pass


async def test_a_report_wakes_the_worker(
    gateway: Gateway, address: str, ledger: FakeLedger
) -> None:
    worker, channel = gateway.worker(address, limits=PATIENT)
    async with channel, working(gateway, worker):
        for payment in range(3):
            await gateway.report(hold(payment), captured(payment))
            await _until_booked(gateway, f"pay_{payment}")
    assert len(ledger.log) == 6


async def test_the_loop_catches_up_after_an_outage(gateway: Gateway, ledger: FakeLedger) -> None:
    async with served(ledger) as address:
        pass
    worker, channel = gateway.worker(address, limits=PATIENT)
    async with channel, working(gateway, worker):
        await gateway.report(hold(1), captured(1))
        async with asyncio.timeout(30):
            while (await gateway.bookings("pay_1")).bookings[0].failure_reason is None:
                pass
        async with served(ledger, address):
            await _until_booked(gateway, "pay_1")
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1"]


async def test_a_batch_that_has_begun_is_finished(
    gateway: Gateway, address: str, ledger: FakeLedger
) -> None:
    await gateway.report(hold(1))
    worker, channel = gateway.worker(address, limits=PATIENT)
    began = asyncio.Event()
    supervisor = Supervisor(unexpected)

    async def stop_meanwhile() -> None:
        began.set()
        await stopping.wait()

    stopping = asyncio.Event()
    ledger.before_booking = stop_meanwhile
    async with channel, asyncio.timeout(30):
        task = supervisor.start(worker.loop(Notifier(), FINISH_SECONDS))
        await began.wait()
        stop = asyncio.create_task(supervisor.stop(task))
        # It is told to stop before the ledger answers.
        await asyncio.sleep(0)
        stopping.set()
        await stop
    assert (await gateway.bookings("pay_1")).state is BookingState.BOOKED


class BrokenOnce(LedgerBooks):
    """A client with a defect that shows at its first call."""

    broken = True

    async def book(self, items: Sequence[LedgerItem]) -> list[Outcome]:
        if self.broken:
            self.broken = False
            raise RuntimeError("a defect")
        return await super().book(items)


async def test_a_defect_does_not_end_the_loop(gateway: Gateway, address: str) -> None:
    # What it fails on stays leased, and comes back.
    limits = replace(PATIENT, lease=timedelta(0), poll=timedelta(milliseconds=10))
    async with grpc.aio.insecure_channel(address) as channel:
        books = BrokenOnce(channel, LEDGER)
        store = BookingStore(gateway.engine, LEDGER)
        worker = BookkeepingWorker(store, books, gateway.clock, random=Random(1), limits=limits)
        await gateway.report(hold(1), captured(1))
        async with working(gateway, worker):
            await _until_booked(gateway, "pay_1")
    assert not books.broken
