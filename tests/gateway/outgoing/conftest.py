"""A client that takes webhooks, and the gateway that sends them."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.v1.webhook_endpoint_pb2 import WebhookDelivery, WebhookEndpoint
from gateway.v1.webhook_endpoint_service_pb2_grpc import WebhookEndpointServiceStub
from sandbox.polling import poll
from tests.gateway.payments.conftest import compliance, database_url, open_shop, template, twin
from tests.gateway.payments.shop import Shop, fresh

__all__ = ["compliance", "database_url", "open_shop", "template", "twin"]

# The changes of a charge, without the fee, which becomes known whenever the balance is looked at.
CHARGED = ("received", "compliance_allowed", "authorization_started", "captured")
Answer = Callable[["Received"], int]


@dataclass(frozen=True)
class Received:
    """One request that came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def sequence(self) -> int:
        return int(self.data["data"]["sequence"])

    @property
    def payment_id(self) -> str:
        return str(self.data["data"]["payment"]["id"])

    def verified_with(self, secret: str) -> bool:
        """Whether one of the signatures is right, by the words of the specification alone."""
        content = b".".join(
            [
                self.headers["webhook-id"].encode(),
                self.headers["webhook-timestamp"].encode(),
                self.body,
            ]
        )
        key = base64.b64decode(secret.split("_", 1)[1])
        expected = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """An HTTP server that answers as it is told; 204 unless told otherwise."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Answer = lambda _received: 204
    # While set, requests hang.
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        received = Received(
            {name.lower(): value for name, value in request.headers.items()}, await request.read()
        )
        self.received.append(received)
        await self.open.wait()
        status = self.answer(received)
        return web.Response(status=status, headers={"location": self.url, "retry-after": "7"})

    async def until(self, condition: Callable[[list[Received]], bool]) -> list[Received]:
        async def read() -> list[Received]:
            return list(self.received)

        return await poll(read, condition)


@pytest.fixture
async def open_receiver() -> AsyncIterator[Callable[[], Any]]:
    runners: list[web.AppRunner] = []
    opened: list[Receiver] = []

    async def start() -> Receiver:
        receiver = Receiver()
        receiver.open.set()
        application = web.Application()
        application.router.add_post("/hook", receiver.take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        runners.append(runner)
        opened.append(receiver)
        return receiver

    yield start
    for receiver in opened:
        receiver.open.set()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def receiver(open_receiver: Callable[[], Any]) -> Receiver:
    started: Receiver = await open_receiver()
    return started


class Hooks:
    """A client of WebhookEndpointService."""

    def __init__(self, shop: Shop) -> None:
        self.stub = WebhookEndpointServiceStub(shop.channel)

    async def create(self, url: str, **fields: Any) -> tuple[WebhookEndpoint, str]:
        request = pb.CreateWebhookEndpointRequest(
            **{"request_id": fresh(), "url": url, "transitions": CHARGED, **fields}
        )
        answer = await self.stub.CreateWebhookEndpoint(request)
        return answer.endpoint, answer.secret

    async def get(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        request = pb.GetWebhookEndpointRequest(endpoint_id=endpoint.id)
        return (await self.stub.GetWebhookEndpoint(request)).endpoint

    async def deliveries(self, endpoint: WebhookEndpoint, state: Any = 0) -> list[WebhookDelivery]:
        request = pb.ListWebhookDeliveriesRequest(endpoint_id=endpoint.id, state=state)
        return list((await self.stub.ListWebhookDeliveries(request)).deliveries)

    async def delivered(self, endpoint: WebhookEndpoint, state: Any, count: int) -> None:
        """Waits until so many deliveries are in a state."""
        await poll(lambda: self.deliveries(endpoint, state), lambda found: len(found) >= count)
