"""Connections that are opened at the webhook port and say nothing more: charging goes on."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from gateway.v1.corridor_pb2 import CORRIDOR_BREAKER_STATE_CLOSED
from gateway.v1.payment_pb2 import PAYMENT_STATE_SUCCEEDED
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine

HALF_OPEN = 400
# Fewer than are opened, as many systems give by default to what no shell started.
DESCRIPTORS = 256
# The rest of the gateway needs about sixty.
MOST_HELD = DESCRIPTORS // 4
HALF_A_HEAD = b"POST /webhooks/stripe/default HTTP/1.1\r\nHost: gateway\r\n"
PAYMENTS = 5
CALM_SECONDS = 5.0


@pytest.fixture
def few_descriptors(engine: Engine) -> Iterator[None]:
    """The gateway may open few files for as long as the test runs."""
    before = resource.prlimit(engine.gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(engine.gateway.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, before[1]))
    yield
    resource.prlimit(engine.gateway.pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_descriptors")
async def test_400_half_open_connections_neither_stop_charging_nor_open_a_breaker(
    engine: Engine, shop: Shop, parties: Parties
) -> None:
    closed, enough = 0, asyncio.Event()
    async with AsyncExitStack() as stack:

        async def held() -> None:
            nonlocal closed
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", engine.ports.gateway_http
                )
                stack.callback(writer.close)
                writer.write(HALF_A_HEAD)
                await reader.read()
            except ConnectionError:
                pass
            closed += 1
            if closed == HALF_OPEN - MOST_HELD:
                enough.set()

        async with asyncio.TaskGroup() as group:
            holding = [group.create_task(held()) for _ in range(HALF_OPEN)]
            async with asyncio.timeout(CALM_SECONDS):
                await enough.wait()
            for _ in range(PAYMENTS):
                paid = await shop.pay(parties.merchant, parties.customer, 1_900, "visa")
                assert paid.state == PAYMENT_STATE_SUCCEEDED
            for task in holding:
                task.cancel()
    corridor = await shop.corridor()
    assert {breaker.state for breaker in corridor.breakers} == {CORRIDOR_BREAKER_STATE_CLOSED}
