"""What is taken from NATS when the answers come as late as the wait for them ends."""

import asyncio
import time

from gateway.webhooks_in.brokers.broker import Letter
from gateway.webhooks_in.brokers.nats import NatsBroker
from tests.gateway.webhooks_in.broker_servers import NatsServer

STEPS = 6
LATE_SECONDS = 0.002


async def test_an_answer_that_comes_as_the_wait_ends_is_no_broker_that_is_away(
    nats_server: NatsServer,
) -> None:
    """The server says that there is no other just before the client's wait ends. On a loop that is
    late by milliseconds the client then raises the language's `TimeoutError`, an `OSError`."""
    await nats_server.until_it_listens()
    broker = NatsBroker([nats_server.url], "late-answers")
    busy = 0.0
    holding = True

    async def hold_the_loop() -> None:
        while holding:
            time.sleep(busy)  # noqa: ASYNC251 - the loop is to stand still
            await asyncio.sleep(0)

    taken = []
    await broker.publish(Letter(b"first", "subject", "first"))
    await broker.rewind()
    holder = asyncio.create_task(hold_the_loop())
    for step in range(STEPS):
        busy = 0.0
        if step:
            await broker.publish(Letter(b"%d" % step, "subject", str(step)))
        busy = LATE_SECONDS * step
        deliveries = await broker.take(10)
        busy = 0.0
        await broker.acknowledge(deliveries)
        taken += deliveries
    holding = False
    await holder
    await broker.close()
    assert [one.content for one in taken] == [b"first", *(b"%d" % n for n in range(1, STEPS))]
