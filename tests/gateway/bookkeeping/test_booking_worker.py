"""The worker against a ledger that goes away, forgets to answer, refuses and breaks."""

import asyncio
from collections import Counter

import grpc
import pytest
from prometheus_client import REGISTRY

from gateway.bookkeeping.facts import FeeCharged
from gateway.bookkeeping.ledger_client import Booked, LedgerBooks, LedgerUnavailableError
from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.store import BookingOutcome, BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from tests.gateway.bookkeeping.conftest import (
    LEDGER,
    LIMITS,
    Gateway,
    about,
    captured,
    drain,
    hold,
    released,
)
from tests.gateway.bookkeeping.fake_ledger import FakeLedger, served


def fee(payment: int) -> FeeCharged:
    return FeeCharged(
        **about(payment),
        balance_transaction_id=f"txn_{payment}",
        charge_id=f"ch_{payment}",
        amount_minor=59,
    )


async def test_facts_are_booked_in_their_order(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1), captured(1), fee(1))
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1", "fee.txn_1"]
    state = await gateway.bookings("pay_1")
    assert state.state is BookingState.BOOKED
    assert [b.ledger_sequence for b in state.bookings] == [1, 2, 3]
    assert {b.ledger for b in state.bookings} == {LEDGER}
    assert state.last_ledger_sequence == 3


async def test_many_payments_share_a_call(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    for payment in range(30):
        await gateway.report(hold(payment), released(payment))
    assert await worker.run_once() == 30
    assert await worker.run_once() == 30
    assert await worker.run_once() == 0
    assert ledger.calls.count("BatchCreateTransactions") == 2


async def test_a_batch_is_bounded(gateway: Gateway, address: str, ledger: FakeLedger) -> None:
    for payment in range(5):
        await gateway.report(hold(payment))
    worker, channel = gateway.worker(address, limits=WorkerLimits(max_bookings=2))
    async with channel:
        assert [await worker.run_once() for _ in range(4)] == [2, 2, 1, 0]
    assert len(ledger.log) == 5


async def test_facts_wait_for_a_ledger_that_is_down(gateway: Gateway, ledger: FakeLedger) -> None:
    async with served(ledger) as address:
        pass
    worker, channel = gateway.worker(address)
    async with channel:
        await gateway.report(hold(1), captured(1))
        with pytest.raises(LedgerUnavailableError):
            await worker.run_once()
        state = await gateway.bookings("pay_1")
        assert state.state is BookingState.PENDING
        assert state.bookings[0].failure_reason == "LEDGER_UNAVAILABLE"
        async with served(ledger, address):
            async with asyncio.timeout(30):
                await channel.channel_ready()
            await drain(worker)
    assert (await gateway.bookings("pay_1")).state is BookingState.BOOKED
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1"]


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
async def test_an_answer_that_decides_nothing_changes_nothing(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker, code: grpc.StatusCode
) -> None:
    await gateway.report(hold(1), captured(1))
    ledger.failures.append(code)
    with pytest.raises(LedgerUnavailableError, match=code.name):
        await worker.run_once()
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1"]


async def test_a_lost_answer_books_nothing_twice(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1), captured(1))
    ledger.lost_answers = 1
    with pytest.raises(LedgerUnavailableError):
        await worker.run_once()
    assert ledger.request_ids == ["hold.op_1"]
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1"]


async def test_a_worker_killed_after_the_ledger_booked(
    gateway: Gateway, ledger: FakeLedger, address: str, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1), captured(1))
    store = BookingStore(gateway.engine, LEDGER)
    (claimed,) = await store.claim(now=gateway.clock.now(), lease=LIMITS.lease, max_bookings=9)
    async with grpc.aio.insecure_channel(address) as channel:
        item = claimed.item
        assert await LedgerBooks(channel, LEDGER).book([item]) == [Booked(1)]
    # Here it died. Its lease keeps others away until it ends.
    assert await worker.run_once() == 0
    gateway.clock.advance(LIMITS.lease)
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1"]
    assert [b.ledger_sequence for b in (await gateway.bookings("pay_1")).bookings] == [1, 2]


async def test_a_worker_that_lost_its_lease_cannot_write(
    gateway: Gateway, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1))
    now = gateway.clock.now()
    store = BookingStore(gateway.engine, LEDGER)
    (claimed,) = await store.claim(now=now, lease=LIMITS.lease, max_bookings=9)
    gateway.clock.advance(LIMITS.lease)
    await drain(worker)
    late = BookingOutcome(claimed, BookingState.REFUSED, now, failure_reason="TOO_LATE")
    assert await store.finish([late], now=now) == set()
    assert (await gateway.bookings("pay_1")).state is BookingState.BOOKED


async def test_a_lease_that_ends_during_the_call_is_noticed(
    gateway: Gateway, ledger: FakeLedger, address: str, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1))
    other, channel = gateway.worker(address)

    async def outlive_the_lease() -> None:
        ledger.before_booking = None
        gateway.clock.advance(LIMITS.lease)
        assert await other.run_once() == 1

    ledger.before_booking = outlive_the_lease
    lost = _outcomes("lease_lost")
    async with channel:
        assert await worker.run_once() == 0
    assert _outcomes("lease_lost") == lost + 1
    assert ledger.request_ids == ["hold.op_1"]


async def test_two_workers_share_the_work(
    gateway: Gateway, ledger: FakeLedger, address: str
) -> None:
    payments = 40
    for payment in range(payments):
        await gateway.report(hold(payment), captured(payment), fee(payment))
    limits = WorkerLimits(max_bookings=7)
    first, first_channel = gateway.worker(address, limits=limits)
    second, second_channel = gateway.worker(address, limits=limits)
    async with first_channel, second_channel:
        while sum(await asyncio.gather(first.run_once(), second.run_once())):
            pass
    assert set(Counter(ledger.request_ids).values()) == {1}
    for payment in range(payments):
        assert [i for i in ledger.request_ids if i.split("_")[1].split(".")[0] == str(payment)] == [
            f"hold.op_{payment}",
            f"captured.op_{payment}.1",
            f"fee.txn_{payment}",
        ]
        assert (await gateway.bookings(f"pay_{payment}")).state is BookingState.BOOKED


async def test_accounts_are_made_once(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker, address: str
) -> None:
    await gateway.report(hold(1), captured(1))
    await drain(worker)
    calls = ["CreateLedger", "BatchCreateAccounts", "BatchCreateAccounts"]
    assert ledger.calls == [*calls, "BatchCreateTransactions", "BatchCreateTransactions"]
    restarted, channel = gateway.worker(address)
    async with channel:
        await gateway.report(hold(2))
        await drain(restarted)
    assert ledger.request_ids == ["hold.op_1", "captured.op_1.1", "hold.op_2"]


async def test_accounts_that_others_made_are_used(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    ledger.ledgers.add(LEDGER)
    ledger.accounts["us/usd/stripe/pending"] = b"made by people"
    await gateway.report(hold(1))
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1"]
    assert ledger.accounts["us/usd/stripe/pending"] == b"made by people"
    assert "us/usd/suspense" in ledger.accounts


async def test_a_ledger_that_was_lost_is_made_again(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1))
    await drain(worker)
    ledger.ledgers.clear()
    await gateway.report(hold(2))
    with pytest.raises(LedgerUnavailableError, match="LEDGER_NOT_FOUND"):
        await worker.run_once()
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1", "hold.op_2"]


def _outcomes(outcome: str) -> float:
    labels = {"outcome": outcome}
    return REGISTRY.get_sample_value("gateway_booking_outcomes_total", labels) or 0.0
