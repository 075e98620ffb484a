"""A gateway is killed with SIGKILL; what was answered 200 is dealt with, once, on all four."""

import asyncio
import contextlib
import functools
import json
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from sandbox.addresses import Ports, at
from sandbox.engine import wait_until_serving
from sandbox.processes import ServiceProcess
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from tests.gateway.webhooks_in.buffers import BufferHarness, at_last
from tests.gateway.webhooks_in.conftest import event_body, signature

EVENTS = 60
SENDERS = 6

pytestmark = pytest.mark.usefixtures("services_are_forked")


def gateway(harness: BufferHarness, ports: Ports, log: Path) -> ServiceProcess:
    environment = {
        **harness.settings,
        "GATEWAY_ROLES": "webhooks,worker",
        "GATEWAY_LISTEN_ADDRESS": at(ports.gateway),
        "GATEWAY_HTTP_ADDRESS": at(ports.gateway_http),
        "GATEWAY_DATABASE_URL": harness.database_url,
        "LOG_LEVEL": "ERROR",
    }
    return ServiceProcess("gateway", ("gateway",), environment, log)


async def begin(process: ServiceProcess, ports: Ports) -> None:
    await process.start()
    await process.wait_until(wait_until_serving(at(ports.gateway)))


class Stripe:
    """Sends events, each until it is answered 200."""

    def __init__(self, ports: Ports, http: aiohttp.ClientSession) -> None:
        self._url = f"http://{at(ports.gateway_http)}/webhooks/stripe/default"
        self._http = http
        self._left = [event_body("test.killed") for _ in range(EVENTS)]
        self._ids = [str(json.loads(body)["id"]) for body in self._left]
        self.answered = 0
        self._changed = asyncio.Condition()

    @property
    def ids(self) -> list[str]:
        """Of all events."""
        return sorted(self._ids)

    async def send(self) -> None:
        while self._left:
            body = self._left.pop(0)
            await at_last(functools.partial(self._is_taken, body))
            async with self._changed:
                self.answered += 1
                self._changed.notify_all()

    async def until_answered(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.answered >= count)

    async def _is_taken(self, body: str) -> bool:
        header = signature(body, DEFAULT_ACCOUNT.webhook_secret, datetime.now(UTC))
        try:
            async with self._http.post(
                self._url, data=body, headers={"Stripe-Signature": header}
            ) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


@pytest.mark.timeout(240)
async def test_a_kill_loses_and_doubles_nothing(harness: BufferHarness, tmp_path: Path) -> None:
    ports = Ports.free()
    process = gateway(harness, ports, tmp_path / "gateway.log")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(process.kill)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await begin(process, ports)
        stripe = Stripe(ports, http)
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(stripe.send())
            await stripe.until_answered(EVENTS // 2)
            # Some are in the broker, some in the inbox, some are being dealt with or stored.
            await process.kill()
            await begin(process, ports)

        async def all_are_done() -> bool:
            return await done_of(harness) == stripe.ids

        await at_last(all_are_done)
        assert await done_of(harness) == stripe.ids, "and nothing more came of it"


async def done_of(harness: BufferHarness) -> list[str]:
    async with harness.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT event_id FROM webhook_event WHERE state = 'DONE'")
        )
        return sorted(rows.scalars())
