"""Another history of the database is written down, and compared unless nothing can be missing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.ledger_check import LedgerCheck
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.standing import NO_CHECKPOINT, StandingStore, StopReason
from gateway.identity import RequestIdentity
from gateway.payments.domain.reconcile import Timing
from gateway.recovery.guard import COMPARISON_RETRY, RestoreGuard
from gateway.recovery.histories import HISTORY, Histories, write_holds_checked
from gateway.recovery.holds import HoldCheck
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from runtime.clock import ManualClock
from runtime.durability import Reading
from runtime.durability_watch import DurabilityWatch
from runtime.postgres import database_incarnation
from sandbox.stripe_twin.twin import Twin
from tests.runtime.test_durability import WHOLE

ASYNCHRONOUS = replace(WHOLE, standby_names="")
LEDGER = "payments"
TIMING = Timing()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def here(engine: AsyncEngine) -> str:
    """Which server and database it is."""
    async with engine.connect() as connection:
        return await database_incarnation(connection)


@pytest.fixture
async def stripe(twin: Twin, engine: AsyncEngine) -> AsyncIterator[StripeClient]:
    corridor = Corridor(
        name="default", api_key=SecretStr(twin.account().secret_key), api_base=twin.url
    )
    async with open_stripe_client([corridor], engine) as opened:
        yield opened.client


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        found = await connection.execute(select(HISTORY).order_by(HISTORY.c.history_number))
        return list(found.all())


async def test_a_first_history_is_compared_once(
    engine: AsyncEngine, clock: ManualClock, here: str
) -> None:
    watch = DurabilityWatch()
    histories = Histories(engine, watch, clock)
    assert not await histories.look(here)
    watch.looked("another server", WHOLE)
    # Connections lead elsewhere: it is not the history of this database.
    assert not await histories.look(here)
    assert await rows(engine) == []
    watch = DurabilityWatch()
    watch.looked(here, WHOLE)
    histories = Histories(engine, watch, clock)
    assert await histories.look(here)
    assert not await histories.look(here)
    (row,) = await rows(engine)
    assert (row.system_identifier, row.timeline, row.seen_time) == (7, 1, clock.now())
    assert (row.durability_before, row.durability_after) == ("", "SYNCHRONOUS")
    assert (row.lost_nothing, row.check_time) == (False, None)
    assert histories.unchecked == row.history_number
    assert REGISTRY.get_sample_value("gateway_history_unchecked") == 1

    # Neither the ledger nor its holds were compared since.
    await histories.compared()
    assert histories.unchecked
    async with engine.begin() as connection:
        await write_holds_checked(connection, row.history_number, clock.now())
    await histories.compared()
    assert histories.unchecked
    standing = StandingStore(engine, LEDGER)
    await standing.keep(NO_CHECKPOINT, clock.now() - timedelta(seconds=1))
    await histories.compared()
    assert histories.unchecked
    await standing.stop(StopReason.BEHIND, clock.now())
    await histories.compared()
    assert histories.unchecked
    await standing.resume(NO_CHECKPOINT, clock.now())
    await histories.compared()
    assert not histories.unchecked
    assert REGISTRY.get_sample_value("gateway_history_unchecked") == 0
    # A process that starts later finds it done.
    later = Histories(engine, watch, clock)
    assert not await later.look(here)
    assert not later.unchecked
    assert [row.check_time for row in await rows(engine)] == [clock.now()]


async def test_of_several_processes_the_one_that_cannot_vouch_is_believed(
    engine: AsyncEngine, clock: ManualClock, here: str
) -> None:
    async def process(*looks: Reading) -> bool:
        watch = DurabilityWatch()
        for reading in looks:
            watch.looked(here, reading)
        return await Histories(engine, watch, clock).look(here)

    second = replace(WHOLE, timeline=2)
    # It saw a synchronous primary before and after: nothing is missing.
    assert not await process(WHOLE, second)
    # This one has seen nothing before, and says nothing against it.
    assert not await process(second)
    (row,) = await rows(engine)
    assert (row.lost_nothing, row.check_time) == (True, clock.now())
    # The last look of this one came later, and standbys were not waited for any more.
    assert await process(WHOLE, ASYNCHRONOUS, second)
    (row,) = await rows(engine)
    assert (row.lost_nothing, row.check_time) == (False, None)
    assert row.durability_before == "ASYNCHRONOUS: NO_STANDBY_NAMED"
    # Who vouches later is not.
    assert await process(WHOLE, second)


async def test_a_failover_is_compared_with_stripe_the_ledger_and_its_holds_by_itself(
    engine: AsyncEngine,
    stripe: StripeClient,
    twin: Twin,
    clock: ManualClock,
    here: str,
    ledger_address: str,
) -> None:
    watch = DurabilityWatch()
    guard = RestoreGuard(engine, stripe, RequestIdentity("default"), clock, watch)
    async with grpc.aio.insecure_channel(ledger_address) as channel:
        ledger = LedgerLog(channel, LEDGER)
        ledger_check = LedgerCheck(StandingStore(engine, LEDGER), ledger, clock)
        hold_check = HoldCheck(engine, stripe, ledger, guard, clock, TIMING)

        async def rounds() -> None:
            """One of each, as a process does them all the time, and the guard's next."""
            clock.advance(timedelta(seconds=1))
            await guard.prepare()
            await hold_check.loop().attempt()
            await ledger_check.check()
            await guard.prepare()

        # Stripe does not tell of everything yet, so that it is not done with the ledger alone.
        fault = twin.add_fault(kind="error", method="GET", path="/v1/charges", status=500)
        watch.looked(here, WHOLE)
        await rounds()
        await rounds()
        assert guard.unchecked_history > 0
        twin.faults.clear(fault)
        clock.advance(COMPARISON_RETRY)
        await rounds()
        assert guard.unchecked_history == 0

        # Synchronous before and after: nothing can be missing.
        watch.looked(here, replace(WHOLE, timeline=2))
        await guard.prepare()
        assert guard.unchecked_history == 0
        # Not so: all is compared, though the hold check would not be due.
        watch.looked(here, replace(ASYNCHRONOUS, timeline=2))
        watch.looked(here, replace(ASYNCHRONOUS, timeline=3))
        await guard.prepare()
        assert guard.unchecked_history > 0
        await rounds()
        assert guard.unchecked_history == 0
    first, second, third = await rows(engine)
    assert [row.lost_nothing for row in (first, second, third)] == [False, True, False]
    assert second.hold_check_time is None
    assert third.hold_check_time == third.check_time == clock.now()
