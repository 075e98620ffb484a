"""Workers that die at any await, answers that get lost: each fact is booked once, in order."""

import asyncio
import gc
from random import Random

import pytest

from gateway.bookkeeping.ledger_client import LedgerUnavailableError
from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.worker import BookkeepingWorker, WorkerLimits
from tests.gateway.bookkeeping.conftest import LIMITS, Gateway, captured, drain, hold, released
from tests.gateway.bookkeeping.fake_ledger import FakeLedger

PAYMENTS = 30
ROUNDS = 40
MOST_STEPS = 400


# A killed process takes its connections along; here they are left to the garbage collector.
@pytest.mark.filterwarnings("ignore:The garbage collector is trying to clean up")
@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
@pytest.mark.parametrize("seed", range(4))
async def test_workers_die_and_answers_get_lost(
    gateway: Gateway, ledger: FakeLedger, address: str, seed: int
) -> None:
    random = Random(seed)
    for payment in range(PAYMENTS):
        await gateway.report(hold(payment), (captured if payment % 3 else released)(payment))
    first, first_channel = gateway.worker(address, limits=WorkerLimits(max_bookings=3))
    second, second_channel = gateway.worker(address, limits=WorkerLimits(max_bookings=5))
    async with first_channel, second_channel:
        killed = 0
        for _ in range(ROUNDS):
            ledger.lost_answers = random.randint(0, 1)
            killed += sum(
                await asyncio.gather(
                    _run_and_die(first, random.randint(1, MOST_STEPS)),
                    _run_and_die(second, random.randint(1, MOST_STEPS)),
                )
            )
            if random.random() < 0.5:
                gateway.clock.advance(LIMITS.lease)
        ledger.lost_answers = 0
        gateway.clock.advance(LIMITS.lease)
        await drain(first)
    gc.collect()
    for payment in range(PAYMENTS):
        bookings = (await gateway.bookings(f"pay_{payment}")).bookings
        assert [b.state for b in bookings] == [BookingState.BOOKED] * 2
        assert [b.ledger_sequence for b in bookings] == sorted(
            ledger.request_ids.index(b.fact_id) + 1 for b in bookings
        )
    assert len(ledger.request_ids) == 2 * PAYMENTS
    assert killed >= ROUNDS // 4, "hardly anybody died"


async def _run_and_die(worker: BookkeepingWorker, steps: int) -> bool:
    """Lets the worker run for so many turns of the event loop, then kills it where it stands."""
    task = asyncio.create_task(worker.run_once())
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(0)
    task.cancel()
    (end,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(end, int | asyncio.CancelledError | LedgerUnavailableError), end
    return isinstance(end, asyncio.CancelledError)
