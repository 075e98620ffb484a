"""Workers that die, hang, stop or come too late: never two at once on one object."""

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_in.consumer import ConsumerPolicy
from gateway.webhooks_in.event import StripeEvent
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.clock import ManualClock
from tests.gateway.webhooks_in.working import POLICY, Handled, event, states, work_off, worker


@pytest.fixture
def handled() -> Handled:
    return Handled()


async def test_a_worker_that_is_told_to_stop_frees_what_it_holds(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    begun = asyncio.Event()

    async def hang(_event: StripeEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    await inbox.store(event())
    stopping = asyncio.create_task(worker(inbox, clock, hang).loop().run())
    await begun.wait()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stopping
    assert await worker(inbox, clock, handled).work_once() == 1, "no lease is in the way"


async def test_a_crashed_workers_event_is_taken_over(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    crashed = asyncio.Event()

    async def crash(_event: StripeEvent) -> None:
        crashed.set()
        await asyncio.Event().wait()

    await inbox.store(event())
    # This one never comes back within the test, as after a kill.
    first = asyncio.create_task(worker(inbox, clock, crash).work_once())
    await crashed.wait()
    second = worker(inbox, clock, handled)
    assert await second.work_once() == 0, "the lease holds"
    clock.advance(timedelta(seconds=29))
    assert await second.work_once() == 0
    clock.advance(timedelta(seconds=1))
    assert await second.work_once() == 1
    assert len(handled.events) == 1
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    assert await inbox.claim(1, POLICY.lease) == [], "the late one changes nothing"


async def test_a_worker_that_lost_its_lease_writes_nothing(
    inbox: PostgresInbox, clock: ManualClock, engine: AsyncEngine
) -> None:
    stored = event()
    await inbox.store(stored)
    (slow,) = await inbox.claim(1, POLICY.lease)
    clock.advance(POLICY.lease)
    (quick,) = await inbox.claim(1, POLICY.lease)
    assert quick.fencing_token > slow.fencing_token
    assert await inbox.finish(slow) is False
    assert await inbox.dead_letter(slow, "LATE") is False
    assert await inbox.retry(slow, "LATE", clock.now()) is False
    assert await states(engine) == {stored.event_id: "PENDING"}
    assert await inbox.dead_letters("", 0, 10) == []
    assert await inbox.finish(quick) is True
    assert await inbox.finish(quick) is False


async def test_an_event_that_kills_its_workers_is_given_up(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    await inbox.store(event())
    for _ in range(POLICY.max_attempts):
        assert len(await inbox.claim(1, POLICY.lease)) == 1
        clock.advance(POLICY.lease)
    await worker(inbox, clock, handled).work_once()
    assert handled.events == []
    (letter,) = await inbox.dead_letters("", 0, 10)
    assert letter.reason == "TOO_MANY_CRASHES"


async def test_workers_side_by_side_share_the_events(
    inbox: PostgresInbox, clock: ManualClock
) -> None:
    running: Counter[str] = Counter()
    order: dict[str, list[str]] = {}

    async def watch(event: StripeEvent) -> None:
        running[event.subject] += 1
        assert running[event.subject] == 1, "two at once on one object"
        order.setdefault(event.subject, []).append(event.event_id)
        await asyncio.sleep(0)
        running[event.subject] -= 1

    stored = [event(f"pi_{number % 5}") for number in range(40)]
    for one in stored:
        await inbox.store(one)
    await asyncio.gather(*(work_off(worker(inbox, clock, watch)) for _ in range(4)))
    await work_off(worker(inbox, clock, watch))
    for subject, ids in order.items():
        assert ids == [one.event_id for one in stored if one.subject == subject]
    assert sum(map(len, order.values())) == 40


async def test_a_handler_that_hangs_is_ended_before_its_lease(
    inbox: PostgresInbox, clock: ManualClock, engine: AsyncEngine
) -> None:
    async def hang(_event: StripeEvent) -> None:
        await asyncio.Event().wait()

    stuck = event()
    await inbox.store(stuck)
    assert await worker(inbox, clock, hang, handler_seconds=0.05).work_once() == 1
    async with engine.connect() as connection:
        row = (await connection.execute(text("SELECT * FROM webhook_event"))).one()
    assert (row.state, row.last_failure, row.lease_until) == ("PENDING", "TimeoutError", None)


def test_a_lease_outlasts_the_handler() -> None:
    with pytest.raises(ValueError, match="lease"):
        ConsumerPolicy(handler_seconds=30, lease=timedelta(seconds=30))
