"""A client that takes webhooks, and the gateway that sends them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.v1.webhook_endpoint_pb2 import WebhookDelivery, WebhookEndpoint
from gateway.v1.webhook_endpoint_service_pb2_grpc import WebhookEndpointServiceStub
from sandbox.polling import poll
from tests.gateway.payments.shop import Shop, fresh
from tests.gateway.webhooks_out.receiver import Receiver

# The changes of a charge, without the fee, which becomes known whenever the balance is looked at.
CHARGED = ("received", "compliance_allowed", "authorization_started", "captured")


@pytest.fixture
async def open_receiver() -> AsyncIterator[Callable[[], Any]]:
    async with AsyncExitStack() as stack:

        async def start() -> Receiver:
            return await stack.enter_async_context(Receiver.listening())

        yield start


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
