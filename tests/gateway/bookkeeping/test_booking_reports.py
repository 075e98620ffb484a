"""Reporting facts: once each, with the caller's transaction, in order."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from gateway.bookkeeping.reporting import BookingState, FactOutOfOrderError, enqueue
from tests.gateway.bookkeeping.conftest import Gateway, captured, hold, released


async def test_a_fact_is_kept_once_whoever_reports_it(gateway: Gateway) -> None:
    later = replace(hold(1), effective_time=hold(1).effective_time + timedelta(seconds=1))
    assert await gateway.report(hold(1)) == [True]
    assert await gateway.report(hold(1), later) == [False, False]
    bookings = (await gateway.bookings("pay_1")).bookings
    assert [(b.fact_id, b.kind, b.amount_minor, b.state) for b in bookings] == [
        ("hold.op_1", "hold_placed", 1_000, BookingState.PENDING)
    ]


async def test_a_contradicting_report_is_kept_for_people(gateway: Gateway) -> None:
    contradiction = captured(1, amount_minor=999)
    await gateway.report(hold(1), captured(1))
    assert await gateway.report(contradiction, contradiction) == [False, False]
    state = await gateway.bookings("pay_1")
    assert state.state is BookingState.REFUSED
    first, second, kept = state.bookings
    assert (first.state, second.state) == (BookingState.PENDING, BookingState.PENDING)
    assert (kept.failure_reason, kept.amount_minor) == ("FACT_CONFLICT", 999)
    assert kept.fact_id.endswith(".captured.op_1.1")


async def test_a_fact_needs_what_it_builds_on(gateway: Gateway) -> None:
    with pytest.raises(FactOutOfOrderError) as raised:
        await gateway.report(captured(1))
    assert (raised.value.fact_id, raised.value.requires) == ("captured.op_1.1", "hold.op_1")
    assert (await gateway.bookings("pay_1")).bookings == ()


async def test_a_fact_goes_with_the_callers_transaction(gateway: Gateway) -> None:
    async with gateway.engine.connect() as connection:
        assert await enqueue(connection, hold(1), gateway.clock.now())
        await connection.rollback()
    assert (await gateway.bookings("pay_1")).bookings == ()


async def test_reports_about_one_payment_wait_for_each_other(gateway: Gateway) -> None:
    async with gateway.engine.connect() as first:
        await enqueue(first, hold(1), gateway.clock.now())
        second = asyncio.create_task(gateway.report(captured(1)))
        await _until_somebody_waits_for_a_lock(gateway)
        assert not second.done()
        await first.commit()
        assert await second == [True]
    kinds = [b.kind for b in (await gateway.bookings("pay_1")).bookings]
    assert kinds == ["hold_placed", "captured"]


async def test_reports_about_different_payments_do_not_wait(gateway: Gateway) -> None:
    async with gateway.engine.connect() as first:
        await enqueue(first, hold(1), gateway.clock.now())
        assert await gateway.report(hold(2), released(2)) == [True, True]


async def test_nobody_may_delete_a_fact(gateway: Gateway) -> None:
    await gateway.report(hold(1))
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with gateway.engine.begin() as connection:
            await connection.execute(text("DELETE FROM booking"))


async def test_nothing_reported_is_nothing_to_book(gateway: Gateway) -> None:
    state = await gateway.bookings("pay_1")
    assert (state.bookings, state.last_ledger_sequence) == ((), None)


async def _until_somebody_waits_for_a_lock(gateway: Gateway) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with asyncio.timeout(10), gateway.engine.connect() as connection:
        while not (await connection.execute(waiting)).scalar_one():
            await connection.rollback()
