"""WebhookEndpointService: check, call, answer."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import ERRORS
from gateway.v1 import webhook_endpoint_pb2, webhook_endpoint_service_pb2_grpc
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.webhooks_out import deliveries, store
from gateway.webhooks_out.commands import Endpoints
from gateway.webhooks_out.errors import endpoint_not_found, url_not_allowed
from gateway.webhooks_out.messages import delivery_message, endpoint_message
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size
from runtime.webhook_addresses import AddressNotAllowedError, Destinations

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
_STATE_PREFIX = "WEBHOOK_DELIVERY_STATE_"


class WebhookEndpointServicer(webhook_endpoint_service_pb2_grpc.WebhookEndpointServiceServicer):
    """For clients who want changes posted to them."""

    def __init__(
        self, engine: AsyncEngine, endpoints: Endpoints, clock: Clock, destinations: Destinations
    ) -> None:
        self._engine = engine
        self._endpoints = endpoints
        self._clock = clock
        self._destinations = destinations
        self._page_tokens = PageTokens(ERRORS)

    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, _context: Any
    ) -> pb.CreateWebhookEndpointResponse:
        self._check_url(request.url)
        endpoint_id = await self._endpoints.create(request)
        async with self._engine.connect() as connection:
            secret = await self._endpoints.secret_of(connection, request, endpoint_id)
        return pb.CreateWebhookEndpointResponse(
            endpoint=await self._read(endpoint_id), secret=secret
        )

    async def GetWebhookEndpoint(
        self, request: pb.GetWebhookEndpointRequest, _context: Any
    ) -> pb.GetWebhookEndpointResponse:
        return pb.GetWebhookEndpointResponse(endpoint=await self._read(request.endpoint_id))

    async def ListWebhookEndpoints(
        self, request: pb.ListWebhookEndpointsRequest, _context: Any
    ) -> pb.ListWebhookEndpointsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_endpoints(
                connection, str(position[0]) if position else "", size + 1, request.merchant_id
            )
            secrets = await store.active_secrets(
                connection, [endpoint.id for endpoint in found], self._clock.now()
            )
        response = pb.ListWebhookEndpointsResponse(
            endpoints=[endpoint_message(endpoint, secrets) for endpoint in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [found[size - 1].id])
        return response

    async def UpdateWebhookEndpoint(
        self, request: pb.UpdateWebhookEndpointRequest, _context: Any
    ) -> pb.UpdateWebhookEndpointResponse:
        self._check_url(request.url)
        await self._endpoints.update(request)
        return pb.UpdateWebhookEndpointResponse(endpoint=await self._read(request.endpoint_id))

    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, _context: Any
    ) -> pb.DeleteWebhookEndpointResponse:
        await self._endpoints.delete(request)
        return pb.DeleteWebhookEndpointResponse()

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, _context: Any
    ) -> pb.RotateWebhookSecretResponse:
        await self._endpoints.rotate(request)
        async with self._engine.connect() as connection:
            secret = await self._endpoints.secret_of(connection, request, request.endpoint_id)
        return pb.RotateWebhookSecretResponse(
            endpoint=await self._read(request.endpoint_id), secret=secret
        )

    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, _context: Any
    ) -> pb.ListWebhookDeliveriesResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        state = ""
        if request.state:
            name = webhook_endpoint_pb2.WebhookDeliveryState.Name(request.state)
            state = name.removeprefix(_STATE_PREFIX)
        async with self._engine.connect() as connection:
            if await store.get_endpoint(connection, request.endpoint_id) is None:
                raise endpoint_not_found(request.endpoint_id)
            rows = await deliveries.list_deliveries(
                connection,
                request.endpoint_id,
                state,
                int(position[0]) if position else 0,
                size + 1,
            )
        response = pb.ListWebhookDeliveriesResponse(
            deliveries=[delivery_message(row) for row in rows[:size]]
        )
        if len(rows) > size:
            last = rows[size - 1].delivery_number
            response.next_page_token = self._page_tokens.encode(request, [last])
        return response

    async def ReplayWebhookDelivery(
        self, request: pb.ReplayWebhookDeliveryRequest, _context: Any
    ) -> pb.ReplayWebhookDeliveryResponse:
        await self._endpoints.replay_delivery(request)
        return pb.ReplayWebhookDeliveryResponse()

    async def ReplayWebhookEvents(
        self, request: pb.ReplayWebhookEventsRequest, _context: Any
    ) -> pb.ReplayWebhookEventsResponse:
        await self._endpoints.replay_events(request)
        return pb.ReplayWebhookEventsResponse(endpoint=await self._read(request.endpoint_id))

    def _check_url(self, url: str) -> None:
        try:
            self._destinations.check_url(url)
        except AddressNotAllowedError:
            raise url_not_allowed() from None

    async def _read(self, endpoint_id: str) -> webhook_endpoint_pb2.WebhookEndpoint:
        async with self._engine.connect() as connection:
            endpoint = await store.get_endpoint(connection, endpoint_id)
            if endpoint is None:
                raise endpoint_not_found(endpoint_id)
            secrets = await store.active_secrets(connection, [endpoint_id], self._clock.now())
        return endpoint_message(endpoint, secrets)
