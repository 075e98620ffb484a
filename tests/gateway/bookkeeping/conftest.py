"""A gateway database, a ledger behind a socket, and a bookkeeping worker between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.facts import Captured, Fact, HoldPlaced, HoldReleased, ReleaseReason
from gateway.bookkeeping.ledger_client import LedgerBooks
from gateway.bookkeeping.reporting import PaymentBookings, booking_state, enqueue
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from runtime.clock import ManualClock
from tests.gateway.bookkeeping.fake_ledger import FakeLedger, served

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LEDGER = "payments"
ROLE = "gateway_service"
LIMITS = WorkerLimits()


@dataclass
class Gateway:
    """The gateway's database with a clock of its own."""

    engine: AsyncEngine
    url: str
    clock: ManualClock

    async def report(self, *facts: Fact) -> list[bool]:
        """Reports facts in one transaction."""
        async with self.engine.begin() as connection:
            return [await enqueue(connection, fact, self.clock.now()) for fact in facts]

    async def bookings(self, payment_id: str) -> PaymentBookings:
        """What is booked of a payment."""
        async with self.engine.connect() as connection:
            return await booking_state(connection, payment_id)

    def worker(
        self, address: str, *, limits: WorkerLimits = LIMITS, ledger: str = LEDGER
    ) -> tuple[BookkeepingWorker, grpc.aio.Channel]:
        """A worker with its own channel to the ledger at `address`."""
        channel = grpc.aio.insecure_channel(
            address, options=[("grpc.max_reconnect_backoff_ms", 100)]
        )
        worker = BookkeepingWorker(
            BookingStore(self.engine, ledger),
            LedgerBooks(channel, ledger),
            self.clock,
            random=Random(42),
            limits=limits,
        )
        return worker, channel


@pytest.fixture
def gateway(engine: AsyncEngine, database_url: str) -> Gateway:
    return Gateway(engine, database_url, ManualClock(NOON))


@pytest.fixture
async def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
async def address(ledger: FakeLedger) -> AsyncIterator[str]:
    async with served(ledger) as address:
        yield address


@pytest.fixture
async def worker(gateway: Gateway, address: str) -> AsyncIterator[BookkeepingWorker]:
    worker, channel = gateway.worker(address)
    async with channel:
        yield worker


def about(payment: int) -> dict[str, Any]:
    """What facts of one payment have in common."""
    return {
        "corridor": "us",
        "currency": "USD",
        "effective_time": NOON,
        "payment_id": f"pay_{payment}",
        "merchant_id": "m_42",
    }


def hold(payment: int, amount_minor: int = 1_000) -> HoldPlaced:
    """The hold of a payment."""
    return HoldPlaced(**about(payment), hold_id=f"op_{payment}", amount_minor=amount_minor)


def captured(payment: int, amount_minor: int = 1_000) -> Captured:
    """The capture of that hold."""
    return Captured(
        **about(payment),
        hold_id=f"op_{payment}",
        charge_id=f"ch_{payment}",
        amount_minor=amount_minor,
    )


def released(payment: int) -> HoldReleased:
    """The release of that hold."""
    return HoldReleased(
        **about(payment),
        hold_id=f"op_{payment}",
        amount_minor=1_000,
        reason=ReleaseReason.DECLINED,
    )


async def drain(worker: BookkeepingWorker) -> None:
    """Works until nothing is decided any more."""
    while await worker.run_once():
        pass
