"""Facts that the ledger refuses, breaks on, or that cannot even be read."""

import json

from prometheus_client import REGISTRY
from sqlalchemy import text

from gateway.bookkeeping.reporting import BookingState
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker
from tests.gateway.bookkeeping.conftest import (
    LEDGER,
    LIMITS,
    Gateway,
    captured,
    drain,
    hold,
)
from tests.gateway.bookkeeping.fake_ledger import FakeLedger


async def test_a_refused_fact_holds_back_its_payment_only(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1), captured(1))
    await gateway.report(hold(2), captured(2))
    ledger.refused.add("hold.op_1")
    await drain(worker)
    assert ledger.request_ids == ["hold.op_2", "captured.op_2.1"]
    state = await gateway.bookings("pay_1")
    assert [(b.state, b.failure_reason) for b in state.bookings] == [
        (BookingState.REFUSED, "CEILING_BREACHED"),
        (BookingState.PENDING, None),
    ]
    await worker.count_backlog()
    assert REGISTRY.get_sample_value("gateway_bookings_refused") == 1
    assert REGISTRY.get_sample_value("gateway_bookings_pending") == 1


async def test_people_may_have_a_refused_fact_tried_again(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1), captured(1))
    ledger.refused.add("hold.op_1")
    await drain(worker)
    store = BookingStore(gateway.engine, LEDGER)
    assert await store.retry_refused("hold.op_1", now=gateway.clock.now())
    assert not await store.retry_refused("hold.op_1", now=gateway.clock.now())
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1:1", "captured.op_1.1:1"]
    assert (await gateway.bookings("pay_1")).state is BookingState.BOOKED


async def test_a_contradiction_is_not_tried_again(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1), hold(1, amount_minor=999))
    conflict = (await gateway.bookings("pay_1")).bookings[1]
    store = BookingStore(gateway.engine, LEDGER)
    assert not await store.retry_refused(conflict.fact_id, now=gateway.clock.now())
    await drain(worker)
    assert ledger.request_ids == ["hold.op_1"]


async def test_a_fact_that_breaks_the_ledger_does_not_stop_the_others(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    for payment in range(3):
        await gateway.report(hold(payment))
    ledger.breaks_on.add("hold.op_1")
    assert await worker.run_once() == 2
    assert ledger.request_ids == ["hold.op_0", "hold.op_2"]
    (broken,) = (await gateway.bookings("pay_1")).bookings
    assert (broken.state, broken.failure_reason) == (BookingState.PENDING, "INTERNAL")
    assert await worker.run_once() == 0, "it is tried again after a while, not at once"
    ledger.breaks_on.clear()
    gateway.clock.advance(LIMITS.postponement.last)
    await drain(worker)
    assert ledger.request_ids == ["hold.op_0", "hold.op_2", "hold.op_1"]


async def test_a_row_that_cannot_be_read_does_not_stop_the_others(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1))
    await gateway.report(hold(2))
    await _rewrite(gateway, "hold.op_1", fact={"corridor": "us", "surprise": True})
    await drain(worker)
    assert ledger.request_ids == ["hold.op_2"]
    async with gateway.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT failure_reason FROM booking WHERE state = 'REFUSED'")
        )
        assert rows.scalar_one() == "FACT_UNREADABLE"


async def test_a_kind_of_a_newer_release_is_left_to_it(
    gateway: Gateway, ledger: FakeLedger, worker: BookkeepingWorker
) -> None:
    await gateway.report(hold(1))
    await _rewrite(gateway, "hold.op_1", kind="tip_received")
    assert await worker.run_once() == 0
    assert (await BookingStore(gateway.engine, LEDGER).backlog()).pending == 1


async def _rewrite(
    gateway: Gateway, fact_id: str, *, kind: str | None = None, fact: object = None
) -> None:
    """Changes a row as another release of the gateway would have written it."""
    async with gateway.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE booking SET kind = coalesce(:kind, kind),"
                " fact = coalesce(CAST(:fact AS jsonb), fact) WHERE fact_id = :fact_id"
            ),
            {
                "kind": kind,
                "fact": None if fact is None else json.dumps(fact),
                "fact_id": fact_id,
            },
        )
