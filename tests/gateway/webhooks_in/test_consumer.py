"""Processing: in order per object, and as often as it takes."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_in.consumer import STRIPE_SHARE
from gateway.webhooks_in.event import (
    OutsideUnavailable,
    PoisonEventError,
    RetryEventLater,
    StripeEvent,
)
from gateway.webhooks_in.inbox import KEEP_DONE, PostgresInbox
from gateway.webhooks_in.upkeep import InboxUpkeep
from runtime.clock import ManualClock
from runtime.deadline import remaining
from tests.gateway.webhooks_in.working import POLICY, Handled, event, states, work_off, worker


@pytest.fixture
def handled() -> Handled:
    return Handled()


async def test_an_event_is_dealt_with_once(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    first = event()
    assert await inbox.store(first) is True
    assert await inbox.store(first) is False
    consumer = worker(inbox, clock, handled)
    assert await work_off(consumer) == 1
    assert await inbox.store(first) is False, "it may come again when it is done"
    assert await work_off(consumer) == 0
    assert handled.events == [first]
    assert await states(engine) == {first.event_id: "DONE"}


async def test_events_on_one_object_are_dealt_with_in_order_of_arrival(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    ours = [event("pi_1") for _ in range(3)]
    theirs = [event("pi_2") for _ in range(3)]
    for pair in zip(ours, theirs, strict=True):
        for one in pair:
            await inbox.store(one)
    consumer = worker(inbox, clock, handled)
    assert await consumer.work_once() == 2, "one of each object at a time"
    await work_off(consumer)
    for expected in (ours, theirs):
        found = [one for one in handled.events if one.subject == expected[0].subject]
        assert found == expected


async def test_an_event_that_fails_holds_up_its_object_and_nothing_else(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    failing, waiting, other = event("pi_1"), event("pi_1"), event("pi_2")
    for one in (failing, waiting, other):
        await inbox.store(one)
    consumer = worker(inbox, clock, handled)
    handled.failures = [RuntimeError("database is down")]
    await work_off(consumer)
    assert sorted(handled.ids) == sorted([failing.event_id, other.event_id])
    clock.advance(timedelta(seconds=10))
    await work_off(consumer)
    assert handled.ids[2:] == [failing.event_id, waiting.event_id]


async def test_waits_grow_and_attempts_are_bounded(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    poison, after = event(), event()
    await inbox.store(poison)
    await inbox.store(after)
    consumer = worker(inbox, clock, handled)
    handled.failures = [RuntimeError("secret card 4242")] * 3
    for wait in (0, 10, 20):
        clock.advance(timedelta(seconds=wait) - timedelta(microseconds=1))
        if wait:
            assert await consumer.work_once() == 0
        clock.advance(timedelta(microseconds=1))
        assert await consumer.work_once() == 1
    assert await states(engine) == {poison.event_id: "DEAD", after.event_id: "PENDING"}
    (letter,) = await inbox.dead_letters("default", 0, 10)
    assert (letter.event_id, letter.attempts, letter.reason) == (poison.event_id, 3, "RuntimeError")
    assert (await inbox.count("default")).dead_letters == 1
    await work_off(consumer)
    assert handled.ids[-1] == after.event_id, "what is behind it goes on"


async def test_poison_is_given_up_at_once(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    poison = event()
    await inbox.store(poison)
    handled.failures = [PoisonEventError("NO_SUCH_PAYMENT")]
    await work_off(worker(inbox, clock, handled))
    assert await states(engine) == {poison.event_id: "DEAD"}
    (letter,) = await inbox.dead_letters("", 0, 10)
    assert letter.reason == "NO_SUCH_PAYMENT"


async def test_an_outage_of_stripe_uses_up_no_attempts(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    held_up, behind = event(), event()
    await inbox.store(held_up)
    await inbox.store(behind)
    consumer = worker(inbox, clock, handled)
    attempts = 2 * POLICY.max_attempts
    # A breaker that opens and closes asks for short waits: so often is nobody asked.
    wait = timedelta(milliseconds=100)
    handled.failures = [OutsideUnavailable("STRIPE_UNAVAILABLE", wait) for _ in range(attempts)]
    for _ in range(attempts):
        assert await work_off(consumer) == 1
        clock.advance(POLICY.unavailable_delay)
    assert await work_off(consumer) == 2
    assert handled.ids == [*[held_up.event_id] * (attempts + 1), behind.event_id]
    assert set((await states(engine)).values()) == {"DONE"}


async def test_stripe_is_given_up_on_before_the_handler_is_cut_off(
    inbox: PostgresInbox, clock: ManualClock
) -> None:
    await inbox.store(event())
    left: list[float] = []

    async def handler(_: StripeEvent) -> None:
        seconds = remaining()
        assert seconds is not None
        left.append(seconds)

    await work_off(worker(inbox, clock, handler))
    assert left[0] <= POLICY.handler_seconds * STRIPE_SHARE < POLICY.handler_seconds


async def test_who_is_told_to_wait_longer_waits_longer(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    await inbox.store(event())
    consumer = worker(inbox, clock, handled)
    handled.failures = [OutsideUnavailable("STRIPE_UNAVAILABLE", timedelta(seconds=60))]
    await work_off(consumer)
    clock.advance(timedelta(seconds=60) - timedelta(microseconds=1))
    assert await consumer.work_once() == 0
    clock.advance(timedelta(microseconds=1))
    assert await consumer.work_once() == 1


async def test_an_event_that_came_too_early_comes_again(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    await inbox.store(event())
    handled.failures = [RetryEventLater("NOT_COMMITTED_YET", timedelta(milliseconds=500))]
    consumer = worker(inbox, clock, handled)
    await work_off(consumer)
    clock.advance(timedelta(milliseconds=500))
    assert await work_off(consumer) == 1
    assert len(handled.events) == 2


async def test_an_event_that_came_too_early_lets_the_later_ones_pass(
    inbox: PostgresInbox, clock: ManualClock
) -> None:
    """charge.updated may arrive before the payment_intent.succeeded that it needs."""
    early, needed = event(event_type="payment_intent.early"), event()
    order: list[str] = []

    async def handle(event: StripeEvent) -> None:
        if event == early and needed.event_id not in order:
            raise RetryEventLater("PAYMENT_NOT_CAPTURED_YET")
        order.append(event.event_id)

    await inbox.store(early)
    await inbox.store(needed)
    consumer = worker(inbox, clock, handle)
    await work_off(consumer)
    assert order == [needed.event_id]
    clock.advance(timedelta(seconds=10))
    await work_off(consumer)
    assert order == [needed.event_id, early.event_id]


async def test_events_that_nobody_cares_for_are_done(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    unknown = event("cus_1", "customer.created")
    await inbox.store(unknown)
    await work_off(worker(inbox, clock, handled))
    assert handled.events == []
    assert await states(engine) == {unknown.event_id: "DONE"}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrivals=st.lists(st.integers(min_value=0, max_value=7), max_size=30))
async def test_duplicates_in_any_order_are_dealt_with_once_each(
    inbox: PostgresInbox, clock: ManualClock, arrivals: list[int]
) -> None:
    events = [event(f"pi_{number % 3}") for number in range(8)]
    handled = Handled()
    consumer = worker(inbox, clock, handled)
    for count, arrival in enumerate(arrivals):
        await inbox.store(events[arrival])
        if count % 4 == 0:
            await consumer.work_once()
    await work_off(consumer)
    assert sorted(handled.ids) == sorted({events[arrival].event_id for arrival in arrivals})


async def test_replayed_event_goes_behind_what_is_there(
    engine: AsyncEngine, inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    dead, later = event(), event()
    await inbox.store(dead)
    handled.failures = [PoisonEventError("NO")]
    consumer = worker(inbox, clock, handled)
    await work_off(consumer)
    await inbox.store(later)
    async with engine.begin() as connection:
        assert await inbox.replay(connection, dead.event_id, "replay-1")
    async with engine.begin() as connection:
        assert not await inbox.replay(connection, dead.event_id, "replay-2")
    await work_off(consumer)
    assert handled.ids == [dead.event_id, later.event_id, dead.event_id]
    assert (await inbox.count("default")).dead_letters == 0


async def test_old_events_are_deleted_when_they_cannot_come_again(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    old = event()
    await inbox.store(old)
    await work_off(worker(inbox, clock, handled))
    clock.advance(KEEP_DONE)
    recent = event()
    await inbox.store(recent)
    clock.advance(timedelta(seconds=1))
    await InboxUpkeep(inbox, ["default"], clock).work_once()
    assert await states(engine) == {recent.event_id: "PENDING"}
    labels = {"corridor": "default"}
    assert REGISTRY.get_sample_value("gateway_webhook_pending", labels) == 1
    assert REGISTRY.get_sample_value("gateway_webhook_oldest_pending_seconds", labels) == 1
    assert REGISTRY.get_sample_value("gateway_webhook_open_dead_letters", labels) == 0
