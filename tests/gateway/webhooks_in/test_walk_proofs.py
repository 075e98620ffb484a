"""With a broker, what is acknowledged is not in the inbox yet: no marker passes over it."""

from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_in.brokers.broker import Broker, End
from gateway.webhooks_in.errors import BufferUnavailableError
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.walk_markers import WalkMarkers
from gateway.webhooks_in.walk_proofs import MAX_AWAITED, WalkProofs
from runtime.clock import ManualClock
from tests.gateway.webhooks_in.conftest import START

OWN, CONNECTED = ("default", None), ("default", "acct_1")
HOUR = timedelta(hours=1)


class PlainBroker:
    """Numbers letters from 1 and relays them in order."""

    name = "plain"

    def __init__(self) -> None:
        self.published = self.relayed = 0
        self.is_away = False

    async def end(self) -> End:
        self._answer()
        return (self.published,)

    async def is_past(self, end: End) -> bool:
        self._answer()
        return self.relayed >= end[0]

    def _answer(self) -> None:
        if self.is_away:
            raise BufferUnavailableError("away")


@pytest.fixture
async def incarnation(engine: AsyncEngine, clock: ManualClock) -> str:
    return (await PostgresInbox(engine, clock).incarnation())[0]


async def test_a_marker_waits_for_what_the_broker_has(
    engine: AsyncEngine, incarnation: str
) -> None:
    broker, markers = PlainBroker(), WalkMarkers(engine)
    proofs = WalkProofs(markers, cast("Broker", broker))

    async def a_round(hours: int, account: tuple[str, str | None] = OWN) -> None:
        await proofs.begin_round(incarnation)
        proofs.add(account, START + hours * HOUR)
        await proofs.end_round(incarnation)

    broker.published = 5
    await a_round(1)
    broker.relayed, broker.published = 4, 9
    await a_round(2, CONNECTED)
    assert await markers.walked_until(OWN) is None
    broker.relayed = 5
    await a_round(3)
    assert await markers.walked_until(OWN) == START + HOUR
    assert await markers.walked_until(CONNECTED) is None
    # It may be asked again later.
    broker.relayed, broker.is_away = 9, True
    await a_round(4)
    assert await markers.walked_until(CONNECTED) is None
    broker.is_away = False
    await a_round(5)
    assert await markers.walked_until(OWN) == START + 3 * HOUR
    assert await markers.walked_until(CONNECTED) == START + 2 * HOUR


async def test_what_was_shown_of_another_database_is_forgotten(
    engine: AsyncEngine, incarnation: str
) -> None:
    broker, markers = PlainBroker(), WalkMarkers(engine)
    proofs = WalkProofs(markers, cast("Broker", broker))
    proofs.add(OWN, START)
    await proofs.end_round(incarnation)
    proofs.add(CONNECTED, START)
    proofs.forget()
    await proofs.end_round(incarnation)
    await proofs.begin_round(incarnation)
    assert await markers.walked_until(OWN) is None
    assert await markers.walked_until(CONNECTED) is None


async def test_the_oldest_rounds_are_kept_while_a_relay_is_behind(
    engine: AsyncEngine, incarnation: str
) -> None:
    broker, markers = PlainBroker(), WalkMarkers(engine)
    proofs = WalkProofs(markers, cast("Broker", broker))
    for number in range(1, MAX_AWAITED + 2):
        broker.published = number
        proofs.add(OWN, START + number * HOUR)
        await proofs.end_round(incarnation)
    broker.relayed = 1
    await proofs.begin_round(incarnation)
    assert await markers.walked_until(OWN) == START + HOUR
    broker.relayed = broker.published
    await proofs.begin_round(incarnation)
    assert await markers.walked_until(OWN) == START + MAX_AWAITED * HOUR
