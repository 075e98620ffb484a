"""The ledger's Stripe accounts against the swept balance, with the real ledger and what is in
flight between the two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import grpc
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance import store
from gateway.balance.comparing import ROUNDS_IN_FLIGHT, BooksComparison, unexplained
from gateway.balance.movement import Movement
from gateway.bookkeeping.balance_facts import ToppedUp
from gateway.bookkeeping.facts import HoldPlaced, StripeBalance
from gateway.bookkeeping.ledger_client import LedgerBooks
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.reporting import enqueue
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker
from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from runtime.clock import ManualClock

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LEDGER = "payments"
CORRIDOR = "us"


@dataclass
class Treasury:
    """Movements at Stripe as the sweep knows them, and the books."""

    engine: AsyncEngine
    worker: BookkeepingWorker
    comparison: BooksComparison
    number: int = 0

    async def sweep(self, minor: int, *, explained: bool = True) -> None:
        """A balance transaction is seen; `explained` once its facts are reported."""
        self.number += 1
        movement = Movement(
            corridor=CORRIDOR,
            id=f"txn_{self.number}",
            type="topup",
            source_id="",
            currency="USD",
            amount_minor=minor,
            fee_minor=0,
            net_minor=minor,
            is_available=True,
            create_time=NOON,
            available_time=NOON,
        )
        async with self.engine.begin() as connection:
            await store.keep(connection, CORRIDOR, [movement], NOON)
            if explained:
                await store.explained(connection, movement)

    async def report(self, minor: int) -> None:
        """A fact is reported, and waits for the ledger."""
        self.number += 1
        fact = ToppedUp(
            corridor=CORRIDOR,
            currency="USD",
            effective_time=NOON,
            balance_transaction_id=f"txn_{self.number}",
            amount_minor=minor,
            balance=StripeBalance.AVAILABLE,
        )
        async with self.engine.begin() as connection:
            await enqueue(connection, fact, NOON)

    async def book(self, minor: int) -> None:
        """A fact is reported and booked."""
        await self.report(minor)
        assert await self.worker.run_once() == 1

    async def compare(self, rounds: int = 1) -> float | None:
        """The difference after some rounds of comparing."""
        for _ in range(rounds):
            await self.comparison.round()
        labels = {"corridor": CORRIDOR, "currency": "USD", "part": "available"}
        return REGISTRY.get_sample_value("gateway_ledger_balance_difference_minor", labels)


@pytest.fixture
async def treasury(
    engine: AsyncEngine, service_database: Callable[[str], str]
) -> AsyncIterator[Treasury]:
    settings = LedgerSettings(
        database_url=SecretStr(service_database("ledger")),
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
    )
    async with (
        open_service(settings) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        worker = BookkeepingWorker(
            BookingStore(engine, LEDGER),
            LedgerBooks(channel, LEDGER),
            ManualClock(NOON),
            random=Random(42),
        )
        comparison = BooksComparison(engine, LedgerLog(channel, LEDGER), [CORRIDOR])
        yield Treasury(engine, worker, comparison)


# What was booked in the last rounds is in flight; after these it is not.
SETTLED = ROUNDS_IN_FLIGHT + 1


async def test_books_that_have_all_of_it_do_not_differ(treasury: Treasury) -> None:
    for minor in (500, -200):
        await treasury.sweep(minor)
        await treasury.book(minor)
    assert await treasury.compare(SETTLED) == 0


async def test_books_that_lack_money_differ_by_it(treasury: Treasury) -> None:
    await treasury.sweep(500)
    await treasury.sweep(200)
    await treasury.book(500)
    assert await treasury.compare(SETTLED) == -200
    await treasury.book(200)
    assert await treasury.compare(SETTLED) == 0
    await treasury.book(7)
    assert await treasury.compare(SETTLED) == 7


async def test_a_ledger_without_any_of_it_differs_by_all(treasury: Treasury) -> None:
    await treasury.sweep(500)
    assert await treasury.compare(SETTLED) == -500


async def test_what_was_booked_within_two_rounds_may_not_be_swept_yet(treasury: Treasury) -> None:
    await treasury.sweep(500)
    await treasury.book(500)
    assert await treasury.compare(SETTLED) == 0
    await treasury.book(30)
    for _ in range(ROUNDS_IN_FLIGHT):
        assert await treasury.compare() == 0
    assert await treasury.compare() == 30


async def test_what_waits_for_the_ledger_is_in_flight(treasury: Treasury) -> None:
    await treasury.sweep(500)
    await treasury.report(500)
    assert await treasury.compare(SETTLED) == 0
    await treasury.sweep(1)
    assert await treasury.compare() == -1


async def test_what_is_not_explained_yet_is_in_flight(treasury: Treasury) -> None:
    await treasury.sweep(-500, explained=False)
    assert await treasury.compare(SETTLED) == 0


async def test_a_hold_moves_nothing_and_hides_nothing(treasury: Treasury) -> None:
    await treasury.sweep(500)
    hold = HoldPlaced(
        corridor=CORRIDOR,
        currency="USD",
        effective_time=NOON,
        payment_id="pay_1",
        merchant_id="m_1",
        hold_id="op_1",
        amount_minor=500,
    )
    async with treasury.engine.begin() as connection:
        await enqueue(connection, hold, NOON)
    assert await treasury.compare(SETTLED) == -500


@pytest.mark.parametrize(
    ("difference", "in_flight", "rest"),
    [(0, 0, 0), (5, 0, 5), (-5, 0, -5), (5, 5, 0), (-5, 5, 0), (6, 5, 1), (-6, 5, -1), (0, 5, 0)],
)
def test_money_in_flight_explains_a_difference_up_to_its_amount(
    difference: int, in_flight: int, rest: int
) -> None:
    assert unexplained(difference, in_flight) == rest
