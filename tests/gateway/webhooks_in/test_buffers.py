"""What every buffer promises, on all four: PostgreSQL, NATS, Kafka and SQS."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from gateway.webhooks_in.brokers.broker import Broker, Delivery, End, Letter
from gateway.webhooks_in.buffer import Buffer
from gateway.webhooks_in.errors import BufferUnavailableError
from gateway.webhooks_in.event import ClaimedEvent, PoisonEventError, StripeEvent, read_event
from gateway.webhooks_in.receiver import MAX_BODY_BYTES
from tests.gateway.webhooks_in.buffers import BufferHarness, at_last
from tests.gateway.webhooks_in.conftest import event_body
from tests.gateway.webhooks_in.working import POLICY, Handled, event, states, work_off, worker


async def test_an_event_is_stored_once(harness: BufferHarness) -> None:
    buffer, one, other = harness.new_buffer(), event(), event()
    async with harness.relaying():
        for sent in (one, one, other, one):
            await buffer.store(sent)
        assert await harness.arrived(2) == [one.event_id, other.event_id]
        # Again when it has long been taken over.
        last = event()
        for sent in (one, other, last):
            await buffer.store(sent)
        assert await harness.arrived(3) == [one.event_id, other.event_id, last.event_id]


async def test_what_is_kept_is_what_was_sent(harness: BufferHarness) -> None:
    buffer = harness.new_buffer()
    odd = read_event(event_body(note="é \\u0000 \ud83d\ude00 \x7f \uffff"), "default")
    spaced = read_event("\r\n " + event_body(), "default")
    largest = event_body(pad="")
    largest = event_body(pad="x" * (MAX_BODY_BYTES - len(largest) - 8))
    sent = [odd, spaced, read_event(largest, "default")]
    async with harness.relaying():
        for one in sent:
            await buffer.store(one)
        await harness.arrived(3)
    claims: list[ClaimedEvent] = []
    while claim := await harness.inbox.claim(8, POLICY.lease):
        claims += claim
        await asyncio.gather(*map(harness.inbox.finish, claim))
    assert sorted(one.event.body for one in claims) == sorted(one.body for one in sent)


async def test_events_of_one_subject_stay_in_order(harness: BufferHarness) -> None:
    buffer = harness.new_buffer()
    sent = [event(f"pi_{number % 3}") for number in range(30)]
    # Broker relays that stop and begin again, with small batches.
    for part in (sent[:10], sent[10:20], sent[20:]):
        async with harness.relaying(max_batch=4):
            for one in part:
                await buffer.store(one)
            await harness.arrived(sent.index(part[0]) + 5)
    async with harness.relaying():
        await harness.arrived(30)
    handled = Handled()
    await work_off(worker(harness.inbox, harness.clock, handled))
    for subject in {one.subject for one in sent}:
        assert [one for one in handled.events if one.subject == subject] == [
            one for one in sent if one.subject == subject
        ]


class DyingBroker:
    """A broker whose taker dies after the commit and before the acknowledgement."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.name = broker.name
        self.dying = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.dying.set()
        await asyncio.Event().wait()


async def test_what_was_taken_and_not_acknowledged_comes_again_and_is_stored_once(
    harness: BufferHarness,
) -> None:
    buffer, sent = harness.new_buffer(), [event(f"pi_{number % 2}") for number in range(12)]
    for one in sent[:6]:
        await buffer.store(one)
    broker = harness.broker()
    if broker is not None:
        dying = DyingBroker(broker)
        await _carry_until_it_dies(harness, dying)
        assert await harness.in_inbox(), "the commit came first"
    for one in sent:
        # Stripe sends again what it has no answer to.
        await buffer.store(one)
    async with harness.relaying():
        found = await harness.arrived(12)
    assert sorted(found) == sorted(one.event_id for one in sent)
    for number in range(2):
        ours = [one.event_id for one in sent[number::2]]
        assert [one for one in found if one in ours] == ours


async def _carry_until_it_dies(harness: BufferHarness, dying: DyingBroker) -> None:
    async def carry() -> None:
        async with harness.relaying(broker=dying):  # type: ignore[arg-type]
            await asyncio.Event().wait()

    work = asyncio.create_task(carry())
    await dying.dying.wait()
    work.cancel()
    await asyncio.wait([work])


async def test_a_dead_letter_is_replayed(harness: BufferHarness) -> None:
    buffer, poison, handled = harness.new_buffer(), event(), Handled()
    async with harness.relaying():
        await buffer.store(poison)
        await harness.arrived(1)
        handled.failures = [PoisonEventError("NO_SUCH_PAYMENT")]
        consumer = worker(harness.inbox, harness.clock, handled)
        await work_off(consumer)
        assert await states(harness.engine) == {poison.event_id: "DEAD"}
        # Once more from Stripe changes nothing: it is a person's now.
        await buffer.store(poison)
        await buffer.store(marker := event())
        await harness.arrived(2)
    async with harness.engine.begin() as connection:
        assert await harness.inbox.replay(connection, poison.event_id, "replay-1")
    await work_off(consumer)
    assert handled.ids == [poison.event_id, marker.event_id, poison.event_id]


async def test_while_the_buffer_is_away_nothing_is_promised_and_nothing_lost(
    harness: BufferHarness,
) -> None:
    buffer, before, during, after = harness.new_buffer(), event(), event(), event()
    await buffer.store(before)
    await harness.cut()
    try:
        with pytest.raises(BufferUnavailableError):
            await buffer.store(during)
        with pytest.raises(BufferUnavailableError):
            await buffer.check()
    finally:
        await harness.restore()
    await stored_at_last(buffer, after)
    async with harness.relaying():
        found = await harness.arrived_all(before, after)
    # It may have got there although nothing was promised.
    found = [one for one in found if one != during.event_id]
    assert found == [before.event_id, after.event_id]


async def test_a_buffer_that_is_away_at_the_start_is_found_later(harness: BufferHarness) -> None:
    await harness.cut()
    try:
        buffer = harness.new_buffer()
        with pytest.raises(BufferUnavailableError):
            await buffer.store(event())
    finally:
        await harness.restore()
    sent = event()
    async with harness.relaying():
        await stored_at_last(buffer, sent)
        await buffer.check()
        await harness.arrived_all(sent)


async def stored_at_last(buffer: Buffer, sent: StripeEvent) -> None:
    """Stored, as often as Stripe would try while connections come back."""

    async def is_stored() -> bool:
        try:
            await buffer.store(sent)
        except BufferUnavailableError:
            return False
        return True

    await at_last(is_stored)


async def test_intake_goes_on_without_the_database_behind_a_broker(harness: BufferHarness) -> None:
    buffer, sent = harness.new_buffer(), [event() for _ in range(5)]
    async with harness.relaying():
        await buffer.store(sent[0])
        await harness.arrived(1)
        await harness.cut_database()
        try:
            for one in sent[1:]:
                if harness.new_broker() is None:
                    with pytest.raises(BufferUnavailableError):
                        await buffer.store(one)
                else:
                    await buffer.store(one)
        finally:
            await harness.restore_database()
        if harness.new_broker() is None:
            for one in sent[1:]:
                await stored_at_last(buffer, one)
        arrived, wanted = await harness.arrived(5), [one.event_id for one in sent]
        if harness.name == "sqs":
            # The stand-in for SQS gives later letters of a subject to a call that waits already,
            # while an earlier one is out with a client that has gone.
            arrived, wanted = sorted(arrived), sorted(wanted)
        assert arrived == wanted


async def test_what_is_in_flight_is_stored_before_it_closes(harness: BufferHarness) -> None:
    buffer, sent = harness.new_buffer(), [event(f"pi_{number}") for number in range(40)]
    await buffer.store(sent[0])
    storing = [asyncio.create_task(buffer.store(one)) for one in sent[1:]]
    await asyncio.sleep(0)
    await buffer.close()
    answers = await asyncio.gather(*storing, return_exceptions=True)
    promised = [one for one, answer in zip(sent[1:], answers, strict=True) if answer is True]
    async with harness.relaying():
        await harness.arrived_all(sent[0], *promised)
    refused = [answer for answer in answers if answer is not True]
    assert all(isinstance(answer, BufferUnavailableError) for answer in refused)


class CountingBroker:
    """Watches how much is in hand at once."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.name = broker.name
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    async def take(self, limit: int) -> list[Delivery]:
        taken = await self._broker.take(limit)
        self.batches.append(len(taken))
        return taken


async def test_a_backlog_goes_through_the_memory_in_small_batches(harness: BufferHarness) -> None:
    buffer, sent = harness.new_buffer(), [event(f"pi_{number % 20}") for number in range(40)]
    await asyncio.gather(*(buffer.store(one) for one in sent))
    broker = harness.broker()
    if broker is None:
        claims = await harness.inbox.claim(7, POLICY.lease)
        assert len(claims) == 7
        return
    counting = CountingBroker(broker)
    async with harness.relaying(broker=counting, max_batch=7):  # type: ignore[arg-type]
        await harness.arrived(40)
    assert 1 < max(counting.batches) <= 7
    await at_last(_all_acknowledged(broker))


async def test_a_broker_tells_when_all_before_its_end_is_in_the_inbox(
    harness: BufferHarness,
) -> None:
    relay, asker = harness.broker(), harness.broker()
    if relay is None or asker is None:
        assert harness.settings == {}, "the inbox itself"
        return
    buffer, sent = harness.new_buffer(), [event(f"pi_{number}") for number in range(6)]
    # Nothing was ever in it; Kafka has a topic once it was asked about.
    await buffer.check()
    await at_last(_is_past(asker, await asker.end()))
    for one in sent[:4]:
        await buffer.store(one)
    end = await asker.end()
    assert not await asker.is_past(end)
    # One process relays, and another asks; what comes later does not matter.
    async with harness.relaying(broker=relay):
        await harness.arrived(4)
        await at_last(_is_past(asker, end))
    for one in sent[4:]:
        await buffer.store(one)
    assert not await asker.is_past(await asker.end())
    if harness.name != "sqs":
        assert await asker.is_past(end)


async def test_two_carriers_take_turns(harness: BufferHarness) -> None:
    buffer, sent = harness.new_buffer(), [event(f"pi_{number % 2}") for number in range(20)]
    async with harness.relaying(max_batch=3) as first, harness.relaying(max_batch=3):
        for one in sent[:10]:
            await buffer.store(one)
        await harness.arrived(5)
        first()
        for one in sent[10:]:
            await buffer.store(one)
        found = await harness.arrived(20)
    for number in range(2):
        ours = [one.event_id for one in sent[number::2]]
        assert [one for one in found if one in ours] == ours


async def test_what_is_no_event_is_set_aside_and_stops_nothing(harness: BufferHarness) -> None:
    broker = harness.broker()
    if broker is None:
        assert harness.settings == {}, "nobody but intake writes into the inbox"
        return
    buffer, good = harness.new_buffer(), event()
    strange = [b"not JSON", b"{}", b'{"format": 2}']
    for number, content in enumerate(strange):
        await broker.publish(Letter(content, "nothing", f"nothing-{number}"))
    await buffer.store(good)
    async with harness.relaying():
        assert await harness.arrived(1) == [good.event_id]
    await at_last(_set_aside(harness, strange))


def _all_acknowledged(broker: Broker) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await broker.waiting() == 0

    return look


def _is_past(broker: Broker, end: End) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await broker.is_past(end)

    return look


def _set_aside(harness: BufferHarness, strange: list[bytes]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return sorted(await harness.unreadable()) == sorted(strange)

    return look
