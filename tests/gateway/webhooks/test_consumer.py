"""Processing: in order per object, as often as it takes, and never by two at once."""

import asyncio
import contextlib
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks.consumer import ConsumerPolicy, WebhookConsumer
from gateway.webhooks.event import (
    EventHandler,
    PoisonEventError,
    RetryEventLater,
    StripeEvent,
    read_event,
)
from gateway.webhooks.inbox import KEEP_DONE, PostgresInbox
from gateway.webhooks.router import EventRouter
from gateway.webhooks.wake import Subscription
from runtime.clock import ManualClock
from tests.gateway.webhooks.conftest import event_body

POLICY = ConsumerPolicy(
    batch=8,
    handler_seconds=5,
    lease=timedelta(seconds=30),
    max_attempts=3,
    first_delay=timedelta(seconds=10),
)


def event(object_id: str = "pi_1", event_type: str = "payment_intent.succeeded") -> StripeEvent:
    body = event_body(event_type, object={"id": object_id, "object": "payment_intent"})
    return read_event(body, "default")


class Handled:
    """A handler that writes down what it was given, and fails when told to."""

    def __init__(self) -> None:
        self.events: list[StripeEvent] = []
        self.failures: list[Exception] = []

    async def __call__(self, event: StripeEvent) -> None:
        self.events.append(event)
        if self.failures:
            raise self.failures.pop(0)

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.events]


@pytest.fixture
def handled() -> Handled:
    return Handled()


def worker(
    inbox: PostgresInbox, clock: ManualClock, handler: EventHandler, **policy: Any
) -> WebhookConsumer:
    return WebhookConsumer(
        inbox,
        EventRouter({"payment_intent.*": handler}),
        clock,
        Subscription(),
        policy=ConsumerPolicy(**{**POLICY.__dict__, **policy}),
        uniform=lambda: 1.0,
    )


async def work_off(consumer: WebhookConsumer) -> int:
    """Works until nothing is due; the number of attempts."""
    total = 0
    while count := await consumer.work_once():
        total += count
    return total


async def states(engine: AsyncEngine) -> dict[str, str]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT event_id, state FROM webhook_event"))
        return {row.event_id: row.state for row in rows}


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


async def test_a_worker_that_is_told_to_stop_frees_what_it_holds(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    begun = asyncio.Event()

    async def hang(_event: StripeEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    await inbox.store(event())
    stopping = asyncio.create_task(worker(inbox, clock, hang).run())
    await begun.wait()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stopping
    assert await worker(inbox, clock, handled).work_once() == 1, "no lease is in the way"


async def test_events_that_nobody_cares_for_are_done(
    inbox: PostgresInbox, clock: ManualClock, handled: Handled, engine: AsyncEngine
) -> None:
    unknown = event("cus_1", "customer.created")
    await inbox.store(unknown)
    await work_off(worker(inbox, clock, handled))
    assert handled.events == []
    assert await states(engine) == {unknown.event_id: "DONE"}


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
    assert await inbox.bury(slow, "LATE") is False
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


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    inbox: PostgresInbox, clock: ManualClock, handled: Handled
) -> None:
    dead, later = event(), event()
    await inbox.store(dead)
    handled.failures = [PoisonEventError("NO")]
    consumer = worker(inbox, clock, handled)
    await work_off(consumer)
    await inbox.store(later)
    assert await inbox.replay_once(dead.event_id, "replay-1") == dead.event_id
    assert await inbox.replay_once(dead.event_id, "replay-1") == dead.event_id
    assert await inbox.replay_once(later.event_id, "replay-1") == dead.event_id
    assert await inbox.replay_once(dead.event_id, "replay-2") is None
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
    assert await inbox.purge() == 1
    assert await states(engine) == {recent.event_id: "PENDING"}


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


def test_handlers_are_found_by_type() -> None:
    one, other = Handled(), Handled()
    router = EventRouter({"charge.*": one, "charge.dispute.created": other})
    assert router.handler_of("charge.updated") is one
    assert router.handler_of("charge.dispute.closed") is one
    assert router.handler_of("charge.dispute.created") is other
    assert router.handler_of("charges.updated") is None
    assert router.handler_of("charge") is None
    for wrong in ("*", "charge*", ""):
        with pytest.raises(ValueError, match="not a type"):
            EventRouter({wrong: one})


@pytest.mark.parametrize(
    ("values", "subject"),
    [
        ({"object": {"id": "pi_1", "object": "payment_intent"}}, "pi_1"),
        ({"object": {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}}, "pi_1"),
        ({"object": {"id": "re_1", "payment_intent": {"id": "pi_1"}}}, "pi_1"),
        ({"object": {"id": "ch_1", "object": "charge", "payment_intent": None}}, "ch_1"),
        ({"object": {"id": "acct_1", "object": "account"}, "account": "acct_1"}, "acct_1"),
        (
            {"object": {"id": "card_payments", "object": "capability", "account": "acct_1"}},
            "acct_1",
        ),
        ({"object": {"id": "ba_1", "object": "bank_account", "account": "acct_1"}}, "acct_1"),
        ({"object": {"id": "person_1", "object": "person"}, "account": "acct_1"}, "acct_1"),
    ],
)
def test_events_are_serialised_by_what_they_are_about(values: dict[str, Any], subject: str) -> None:
    assert read_event(event_body(**values), "eu").subject == f"eu/{subject}"


def test_thin_events_are_read_as_pointers() -> None:
    body = json.dumps(
        {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v2.core.account.updated",
            "created": "2026-11-22T12:00:00.000Z",
            "livemode": False,
            "context": "acct_1",
            "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/…"},
        }
    )
    read = read_event(body, "default")
    assert (read.stripe_account, read.object_id, read.subject) == (
        "acct_1",
        "acct_1",
        "default/acct_1",
    )
