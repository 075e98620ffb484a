"""An inbox in a real database, a receiver behind a real socket, and signed events."""

import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.webhooks_in.buffer import PostgresBuffer
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.receiver import WebhookReceiver
from runtime.clock import ManualClock
from sandbox.guardian import temporary_folder
from sandbox.stripe_twin.twin import Twin
from tests.aws import aws_credentials
from tests.gateway.webhooks_in.broker_servers import (
    MOCK_KAFKA,
    MOTO,
    NatsServer,
    PythonServer,
)
from tests.gateway.webhooks_in.buffers import (
    BufferHarness,
    kafka_buffer,
    nats_buffer,
    postgres_buffer,
    sqs_buffer,
)

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROLE = "gateway_service"
SECRET, ROLLED_SECRET, OTHER_SECRET = "whsec_first", "whsec_second", "whsec_of_another_corridor"

_numbers = itertools.count(1)


def event_body(event_type: str = "payment_intent.succeeded", **values: Any) -> str:
    """A valid event; `object` replaces its object."""
    number = next(_numbers)
    data = values.pop("object", {"id": "pi_1", "object": "payment_intent"})
    event = {
        "id": f"evt_{number}",
        "object": "event",
        "type": event_type,
        "created": int(START.timestamp()),
        "livemode": False,
        "data": {"object": data},
        **values,
    }
    return json.dumps(event)


def signature(
    body: str | bytes, secret: str = SECRET, when: datetime = START, scheme: str = "v1"
) -> str:
    """The header that Stripe would send."""
    raw = body.encode() if isinstance(body, str) else body
    timestamp = int(when.timestamp())
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + raw, hashlib.sha256)
    return f"t={timestamp},{scheme}={mac.hexdigest()}"


def corridor(name: str, *secrets: str, api_key: str = "sk_test_bench") -> Corridor:
    return Corridor(
        name=name,
        api_key=SecretStr(api_key),
        webhook_secrets=tuple(SecretStr(secret) for secret in secrets),
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    with temporary_folder() as folder:
        server = NatsServer(folder.path)
        server.start()
        yield server
        server.close()


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[PythonServer]:
    server = PythonServer(MOCK_KAFKA)
    yield server
    server.close()


@pytest.fixture(scope="session")
def sqs_server() -> Iterator[PythonServer]:
    with aws_credentials():
        server = PythonServer(MOTO)
        yield server
        server.close()


@pytest.fixture(params=["postgres", "nats", "kafka", "sqs"])
async def harness(
    request: pytest.FixtureRequest, clock: ManualClock, engine: AsyncEngine, database_url: str
) -> AsyncIterator[BufferHarness]:
    """Each of the buffers; a server is started when first wanted."""
    if request.param == "postgres":
        opened = await postgres_buffer(clock, engine, database_url)
    elif request.param == "nats":
        server: NatsServer = request.getfixturevalue("nats_server")
        await server.until_it_listens()
        opened = await nats_buffer(clock, engine, database_url, server)
    elif request.param == "kafka":
        kafka: PythonServer = request.getfixturevalue("kafka_server")
        opened = await kafka_buffer(clock, engine, database_url, kafka)
    else:
        sqs: PythonServer = request.getfixturevalue("sqs_server")
        opened = await sqs_buffer(clock, engine, database_url, sqs)
    yield opened
    await opened.close()


@pytest.fixture
def inbox(engine: AsyncEngine, clock: ManualClock) -> PostgresInbox:
    return PostgresInbox(engine, clock)


@pytest.fixture
async def stripe_client(twin: Twin, engine: AsyncEngine) -> AsyncIterator[StripeClient]:
    corridor = Corridor(
        name="default",
        api_key=SecretStr(twin.account().secret_key),
        api_base=twin.url,
        webhook_secrets=(SecretStr("whsec_bench"),),
    )
    async with open_stripe_client([corridor], engine) as opened:
        yield opened.client


@dataclass
class Intake:
    """The receiver's address, and a client for it."""

    url: str
    http: aiohttp.ClientSession
    engine: AsyncEngine
    inbox: PostgresInbox

    async def post(
        self, body: str | bytes, header: str | None, name: str = "default"
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer."""
        headers = {} if header is None else {"Stripe-Signature": header}
        async with self.http.post(
            f"{self.url}/webhooks/stripe/{name}", data=body, headers=headers
        ) as response:
            return response.status, await response.json()

    async def stored(self) -> int:
        """Events in the database."""
        async with self.engine.connect() as connection:
            found = await connection.execute(text("SELECT count(*) FROM webhook_event"))
            return int(found.scalar_one())


@pytest.fixture
async def intake(
    inbox: PostgresInbox, engine: AsyncEngine, clock: ManualClock
) -> AsyncIterator[Intake]:
    receiver = WebhookReceiver(
        [
            corridor("default", SECRET, ROLLED_SECRET),
            corridor("backup", OTHER_SECRET),
            corridor("live", SECRET, api_key="sk_live_bench"),
        ],
        PostgresBuffer(inbox, clock),
        clock,
    )
    application = web.Application()
    application.add_routes(receiver.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as http:
        yield Intake(f"http://{host}:{port}", http, engine, inbox)
    await runner.cleanup()
