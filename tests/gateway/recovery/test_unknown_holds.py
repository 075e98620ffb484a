"""Holds that stand in the ledger, of attempts that nobody knows after a restore."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import grpc
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.chart import Chart
from gateway.bookkeeping.facts import (
    Fact,
    HoldForgotten,
    HoldPlaced,
    HoldReleased,
    ReleaseReason,
    StripeBalance,
)
from gateway.bookkeeping.ledger_client import NOTHING_LEFT, Booked, LedgerBooks
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.ledger_requests import ledger_item
from gateway.operations.operation import MAX_REQUEST_LIFETIME
from gateway.v1.payment_pb2 import CaptureMethod, PaymentMethod, PaymentState
from runtime.clock import ManualClock
from sandbox.polling import poll
from tests.backups import Backup
from tests.gateway.bookkeeping.conftest import Gateway, drain
from tests.gateway.payments.shop import refused
from tests.gateway.running import OpenShop

LEDGER = "payments"
S = PaymentState
ACCOUNT = Chart("default", "EUR").stripe(StripeBalance.PENDING).path
GHOST = HoldPlaced(
    corridor="default",
    currency="EUR",
    effective_time=datetime(2026, 11, 29, tzinfo=UTC),
    payment_id="pay_ghost",
    merchant_id="merchant",
    hold_id="op_ghost",
    amount_minor=48_120,
)


class Books:
    """The ledger, as it is booked past the gateway, and as it stands."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.log = LedgerLog(channel, LEDGER, page_size=1)

    async def book(self, fact: Fact, revision: int = 0) -> None:
        required = 0 if fact.requires is not None else None
        item = ledger_item(fact, revision=revision, required_revision=required)
        (outcome,) = await LedgerBooks(self._channel, LEDGER).book([item])
        assert isinstance(outcome, Booked)

    async def open(self) -> list[tuple[str, int]]:
        """Holds that stand, each with how often it was placed anew."""
        pages = [page async for page in self.log.open_holds(ACCOUNT)]
        holds = [await self.log.placed_hold(one) for page in pages for one in page]
        return [(hold.id, hold.revision) for hold in holds if hold is not None]

    async def wait_for(self, *expected: tuple[str, int]) -> None:
        await poll(self.open, lambda holds: holds == list(expected))


@pytest.fixture
async def books(ledger_address: str) -> AsyncIterator[Books]:
    async with grpc.aio.insecure_channel(ledger_address) as channel:
        yield Books(channel)


async def test_holds_of_lost_attempts_are_ended_and_those_of_living_ones_stand(
    open_shop: OpenShop,
    backup: Backup,
    recover: Callable[..., Any],
    books: Books,
    ledger_address: str,
    database_url: str,
) -> None:
    manual = {"capture_method": CaptureMethod.CAPTURE_METHOD_MANUAL}
    async with open_shop(ledger_address=ledger_address) as shop:
        held = await shop.create(**manual)
        declined = await shop.create(payment_method=PaymentMethod(token="pm_card_chargeDeclined"))
        assert declined.state == S.PAYMENT_STATE_DECLINED
        await poll(lambda: unbooked(database_url), lambda facts: facts == 0)
        ((hold_of_held, _),) = await books.open()
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        lost = await shop.create(request_id="lost", **manual)
        await poll(lambda: unbooked(database_url), lambda facts: facts == 0)
        hold_of_lost = (await books.open())[1]
    backup.restore()
    # One of a payment that is lost and never was at Stripe, one of a later attempt of a payment
    # that is known; and the attempt of another had taken nothing at first.
    later = replace(GHOST, payment_id=declined.id, hold_id="op_later")
    for fact in (GHOST, later, released(replace(GHOST, payment_id=held.id, hold_id=hold_of_held))):
        await books.book(fact)
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await refused(shop.create()) == "DATABASE_BEHIND"

    said = await recover()
    assert "1 holds are placed anew, which lost attempts had released" in said
    assert "0 holds of the ledger were of lost attempts, and are released" in said
    assert any(line.startswith("2 more will be 15 minutes after") for line in said)
    async with open_shop(ledger_address=ledger_address) as shop:
        await books.wait_for(hold_of_lost, ("op_ghost", 0), ("op_later", 0), (hold_of_held, 1))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE unknown_hold SET found_time = found_time - %s", [MAX_REQUEST_LIFETIME]
        )
    # The leader ends them by itself.
    async with open_shop(ledger_address=ledger_address) as shop:
        await books.wait_for(hold_of_lost, (hold_of_held, 1))
        await shop.capture(held)
        await shop.cancel(await shop.get(lost.id))
        await books.wait_for()
        await poll(lambda: unbooked(database_url), lambda facts: facts == 0)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM unknown_hold").fetchone()
        assert row == (0,)


async def test_a_recovery_ends_them_itself_when_the_loss_is_old_enough(
    open_shop: OpenShop,
    backup: Backup,
    recover: Callable[..., Any],
    books: Books,
    ledger_address: str,
    engine: AsyncEngine,
    database_url: str,
) -> None:
    backup.take()
    async with open_shop() as shop:
        await shop.create(request_id="lost")
    backup.restore()
    await books.book(GHOST)
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await refused(shop.create()) == "DATABASE_BEHIND"
    clock = ManualClock(datetime.now(UTC) + MAX_REQUEST_LIFETIME)
    said = await recover(clock)
    assert "1 holds of the ledger were of lost attempts, and are released" in said
    # Nothing of it is found when it is run again.
    said = await recover(clock)
    assert "0 holds of the ledger were of lost attempts, and are released" in said
    assert not any("more will be" in line for line in said)

    gateway = Gateway(engine, database_url, clock)
    worker, channel = gateway.worker(ledger_address)
    async with channel:
        await drain(worker)
        await books.wait_for()
        # The client asks again after all: the same attempt has a hold again, and takes nothing.
        await gateway.report(replace(GHOST, effective_time=clock.now()))
        await drain(worker)
        await books.wait_for(("op_ghost", 1))
        await gateway.report(released(GHOST))
        await drain(worker)
        await books.wait_for()
        # A hold that is gone, or has ended, needs no end.
        gone = replace(GHOST, hold_id="op_gone", payment_id="pay_gone")
        over = replace(GHOST, hold_id="op_over", payment_id="pay_over")
        await books.book(over)
        await books.book(released(over))
        await gateway.report(forgotten(gone), forgotten(over))
        await drain(worker)
        for payment_id in ("pay_gone", "pay_over"):
            (booked,) = (await gateway.bookings(payment_id)).bookings
            assert booked.ledger_sequence == NOTHING_LEFT


async def unbooked(database_url: str) -> int:
    """Facts that were reported and are not booked."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        counted = await connection.execute("SELECT count(*) FROM booking WHERE state <> 'BOOKED'")
        row = await counted.fetchone()
    assert row is not None
    return int(row[0])


def forgotten(hold: HoldPlaced) -> HoldForgotten:
    return HoldForgotten(**asdict(hold), hold_revision=0)


def released(hold: HoldPlaced) -> HoldReleased:
    return HoldReleased(**asdict(hold), reason=ReleaseReason.FAILED)
