"""Stripe is answered 200 only for what a standby has, where one has to have it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_in.broker_relay import BrokerRelay
from gateway.webhooks_in.brokers.broker import Broker, Delivery, pack
from gateway.webhooks_in.buffer import PostgresBuffer
from gateway.webhooks_in.errors import BufferUnavailableError
from gateway.webhooks_in.event import ReceivedEvent, read_event
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.clock import ManualClock
from runtime.durability_watch import DurabilityWatch
from tests.gateway.webhooks_in.conftest import event_body
from tests.runtime.test_durability import WHOLE


async def test_what_no_standby_has_is_not_acknowledged(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    watch = DurabilityWatch(required=True)

    def lose(_stored: ReceivedEvent) -> None:
        """Meanwhile a look has found that nobody has to have it."""
        watch.looked("a", replace(WHOLE, standby_names=""))

    buffer = PostgresBuffer(PostgresInbox(engine, clock, lose), clock, watch)
    event = read_event(event_body(), "default")
    with pytest.raises(BufferUnavailableError, match="UNKNOWN: NOT_LOOKED_AT"):
        await buffer.store(event)
    watch.looked("a", WHOLE)
    with pytest.raises(BufferUnavailableError, match="ASYNCHRONOUS: NO_STANDBY_NAMED"):
        await buffer.store(event)
    watch.looked("a", WHOLE)
    # Stripe sends it again, and it is there.
    assert await buffer.store(event) is False
    await buffer.close()


class OneLetter:
    """A broker with one letter, and what it was told to forget."""

    name = "one letter"

    def __init__(self, content: bytes) -> None:
        self._letter = Delivery(content, "1", None)
        self.forgotten: list[str] = []

    async def rewind(self) -> None:
        """It gives the same letter each time."""

    async def take(self, _limit: int) -> list[Delivery]:
        return [self._letter]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.forgotten += [one.position for one in deliveries]

    async def waiting(self) -> int:
        return 1


async def test_a_broker_forgets_nothing_that_no_standby_has(
    engine: AsyncEngine, clock: ManualClock
) -> None:
    watch = DurabilityWatch(required=True)
    broker = OneLetter(pack(read_event(event_body(), "default"), clock.now()))
    inbox = PostgresInbox(engine, clock)
    relay = BrokerRelay(cast("Broker", broker), inbox, engine, durability=watch)
    await relay.loop(0).attempt()
    assert broker.forgotten == []
    watch.looked("a", WHOLE)
    await relay.loop(0).attempt()
    assert broker.forgotten == ["1"]
