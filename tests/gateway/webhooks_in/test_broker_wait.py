"""Intake waits for its broker for a while, and no longer, and for no more than so many."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import nats
import pytest

from gateway.webhooks_in.broker_wait import BROKER_WAIT_SECONDS, MAX_WAITING, BrokerWait
from gateway.webhooks_in.brokers.broker import Broker, Letter
from gateway.webhooks_in.brokers.nats import NatsBroker
from gateway.webhooks_in.buffer import BrokerBuffer
from gateway.webhooks_in.errors import BufferUnavailableError, EventTooLargeError
from runtime.clock import ManualClock
from runtime.draining import Drain
from sandbox.polling import poll
from tests.gateway.webhooks_in.broker_servers import NatsCluster
from tests.gateway.webhooks_in.working import event, waiting_for_broker

# Longer than any leader takes to be chosen on a busy machine.
PATIENT_SECONDS = 60.0
IMPATIENT_SECONDS = 0.3


class Refusing:
    """Something that is away for so many attempts."""

    def __init__(self, times: int | None = None) -> None:
        self.times = times
        self.attempts = 0

    async def attempt(self) -> bool:
        self.attempts += 1
        if self.times is None or self.attempts <= self.times:
            raise BufferUnavailableError(f"away {self.attempts}")
        return True


def test_it_fits_into_what_stripe_waits() -> None:
    assert (BROKER_WAIT_SECONDS, MAX_WAITING) == (8.0, 256)


async def test_what_is_back_in_time_hides_that_it_was_away() -> None:
    broker = Refusing(3)
    assert await BrokerWait(Drain(), jitter=lambda: 0.0).until_done(broker.attempt)
    assert broker.attempts == 4
    assert await waiting_for_broker() == 0


async def test_past_the_limit_the_last_reason_is_told() -> None:
    broker, begun = Refusing(), time.monotonic()
    wait = BrokerWait(Drain(), seconds=IMPATIENT_SECONDS)
    with pytest.raises(BufferUnavailableError) as refused:
        await wait.until_done(broker.attempt)
    # Timers of the loop are exact to a millisecond.
    assert time.monotonic() - begun > IMPATIENT_SECONDS - 0.01
    assert broker.attempts > 1
    assert refused.value.reason == f"away {broker.attempts}"
    assert await waiting_for_broker() == 0


async def test_an_attempt_that_hangs_is_cut_off_at_the_limit() -> None:
    broker = Refusing(1)

    async def attempt() -> bool:
        await broker.attempt()
        await asyncio.Event().wait()
        return True

    wait = BrokerWait(Drain(), seconds=IMPATIENT_SECONDS)
    with pytest.raises(BufferUnavailableError, match="away 1"):
        await wait.until_done(attempt)


async def test_so_many_wait_and_the_next_is_refused_at_once() -> None:
    drain = Drain()
    wait = BrokerWait(drain, seconds=PATIENT_SECONDS, max_waiting=2)
    patient = [asyncio.create_task(wait.until_done(Refusing().attempt)) for _ in range(2)]
    await poll(waiting_for_broker, lambda count: count == 2)
    late = Refusing()
    with pytest.raises(BufferUnavailableError, match="away 1"):
        await wait.until_done(late.attempt)
    assert late.attempts == 1
    # Who stops has nobody wait any longer.
    drain.begin()
    results = await asyncio.gather(*patient, return_exceptions=True)
    assert [type(result) for result in results] == [BufferUnavailableError] * 2
    # There is room again; but a server that drains tries nothing again.
    with pytest.raises(BufferUnavailableError):
        await wait.until_done(late.attempt)
    assert late.attempts == 2
    assert await waiting_for_broker() == 0


async def test_what_can_never_be_stored_is_not_tried_again() -> None:
    attempts = 0

    async def attempt() -> bool:
        nonlocal attempts
        attempts += 1
        raise EventTooLargeError

    with pytest.raises(EventTooLargeError):
        await BrokerWait(Drain()).until_done(attempt)
    assert attempts == 1


class Recording:
    """A broker, and the letters that it was given."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.name = broker.name
        self.letters: list[Letter] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    async def publish(self, letter: Letter) -> bool:
        self.letters.append(letter)
        return await self._broker.publish(letter)


async def test_a_leader_that_is_chosen_in_time_hides_the_outage(
    tmp_path: Path, clock: ManualClock
) -> None:
    cluster = NatsCluster(tmp_path)
    await cluster.start()
    broker = NatsBroker(cluster.urls, "led", replicas=3)
    recording = Recording(broker)
    wait = BrokerWait(Drain(), seconds=PATIENT_SECONDS)
    buffer = BrokerBuffer(recording, clock, wait)  # type: ignore[arg-type]
    try:
        await buffer.store(event())
        client = await nats.connect(cluster.urls)
        state = (await client.jetstream().stream_info("led")).cluster
        await client.close()
        assert state is not None
        assert state.leader is not None
        cluster.kill(state.leader)
        storing = [asyncio.create_task(buffer.store(event())) for _ in range(8)]
        await poll(waiting_for_broker, lambda count: count == len(storing))
        clock.advance(timedelta(seconds=1))
        assert all(await asyncio.gather(*storing))
        # However often each was tried, under one id and with the time at which it came.
        assert len(recording.letters) > 1 + len(storing)
        assert len(set(recording.letters)) == 1 + len(storing)
        assert await broker.waiting() == 1 + len(storing)
    finally:
        await buffer.close()
        cluster.close()
