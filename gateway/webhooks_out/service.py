"""WebhookEndpointService: check, call, answer."""

from collections.abc import Collection
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import ERRORS
from gateway.v1 import webhook_endpoint_pb2, webhook_endpoint_service_pb2_grpc
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.webhooks_out import deliveries, store
from gateway.webhooks_out.commands import Endpoints
from gateway.webhooks_out.domain import Endpoint, Feed
from gateway.webhooks_out.errors import endpoint_not_found, feed_not_allowed, url_not_allowed
from gateway.webhooks_out.feeds import Feeds
from gateway.webhooks_out.messages import delivery_message, endpoint_message
from runtime.auth import caller
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size
from runtime.rights import Role
from runtime.webhook_addresses import AddressNotAllowedError, Destinations

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
_STATE_PREFIX = "WEBHOOK_DELIVERY_STATE_"


class WebhookEndpointServicer(webhook_endpoint_service_pb2_grpc.WebhookEndpointServiceServicer):
    """For who wants changes posted. `watchers` are the roles that may have incidents sent; to
    others an endpoint of that feed is not there."""

    def __init__(
        self,
        engine: AsyncEngine,
        feeds: Feeds,
        endpoints: Endpoints,
        clock: Clock,
        destinations: Destinations,
        watchers: Collection[Role],
    ) -> None:
        self._feeds = feeds
        self._watchers = watchers
        self._engine = engine
        self._endpoints = endpoints
        self._clock = clock
        self._destinations = destinations
        self._page_tokens = PageTokens(ERRORS)

    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, _context: Any
    ) -> pb.CreateWebhookEndpointResponse:
        self._check_url(request.url)
        feed = _feed_of(request.feed)
        if feed not in self._feeds_of_caller():
            raise feed_not_allowed(caller())
        endpoint_id = await self._endpoints.create(request, feed)
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
                connection,
                str(position[0]) if position else "",
                size + 1,
                request.merchant_id,
                self._feeds_of_caller(),
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
        await self._check_theirs(request.endpoint_id)
        await self._endpoints.update(request)
        return pb.UpdateWebhookEndpointResponse(endpoint=await self._read(request.endpoint_id))

    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, _context: Any
    ) -> pb.DeleteWebhookEndpointResponse:
        await self._check_theirs(request.endpoint_id)
        await self._endpoints.delete(request)
        return pb.DeleteWebhookEndpointResponse()

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, _context: Any
    ) -> pb.RotateWebhookSecretResponse:
        await self._check_theirs(request.endpoint_id)
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
            endpoint = await self._find(connection, request.endpoint_id)
            rows = await deliveries.list_deliveries(
                connection,
                request.endpoint_id,
                self._feeds[endpoint.feed].epochs_of,
                state,
                int(position[0]) if position else 0,
                size + 1,
            )
        response = pb.ListWebhookDeliveriesResponse(
            deliveries=[delivery_message(row, endpoint.feed) for row in rows[:size]]
        )
        if len(rows) > size:
            last = rows[size - 1].delivery_number
            response.next_page_token = self._page_tokens.encode(request, [last])
        return response

    async def ReplayWebhookDelivery(
        self, request: pb.ReplayWebhookDeliveryRequest, _context: Any
    ) -> pb.ReplayWebhookDeliveryResponse:
        await self._check_theirs(request.endpoint_id)
        await self._endpoints.replay_delivery(request)
        return pb.ReplayWebhookDeliveryResponse()

    async def ReplayWebhookEvents(
        self, request: pb.ReplayWebhookEventsRequest, _context: Any
    ) -> pb.ReplayWebhookEventsResponse:
        await self._check_theirs(request.endpoint_id)
        await self._endpoints.replay_events(request)
        return pb.ReplayWebhookEventsResponse(endpoint=await self._read(request.endpoint_id))

    def _check_url(self, url: str) -> None:
        try:
            self._destinations.check_url(url)
        except AddressNotAllowedError:
            raise url_not_allowed() from None

    async def _read(self, endpoint_id: str) -> webhook_endpoint_pb2.WebhookEndpoint:
        async with self._engine.connect() as connection:
            endpoint = await self._find(connection, endpoint_id)
            secrets = await store.active_secrets(connection, [endpoint_id], self._clock.now())
        return endpoint_message(endpoint, secrets)

    async def _find(self, connection: AsyncConnection, endpoint_id: str) -> Endpoint:
        """The endpoint, if it is there for the caller."""
        endpoint = await store.get_endpoint(connection, endpoint_id)
        if endpoint is None or endpoint.feed not in self._feeds_of_caller():
            raise endpoint_not_found(endpoint_id)
        return endpoint

    async def _check_theirs(self, endpoint_id: str) -> None:
        """Raises WEBHOOK_ENDPOINT_NOT_FOUND for one that is there for others alone. One that was
        deleted is theirs: the request that did so may come again."""
        theirs = self._feeds_of_caller()
        if set(theirs) == set(Feed):
            return
        async with self._engine.connect() as connection:
            feed = await store.feed_of(connection, endpoint_id)
        if feed is not None and feed not in theirs:
            raise endpoint_not_found(endpoint_id)

    def _feeds_of_caller(self) -> Collection[Feed]:
        """The feeds that the caller may watch. In the sandbox nobody has a role."""
        who = caller()
        if who.role is None or (who.role in self._watchers and who.bound_to is None):
            return tuple(Feed)
        return (Feed.PAYMENTS,)


def _feed_of(wanted: "webhook_endpoint_pb2.WebhookFeed.ValueType") -> Feed:
    if not wanted:
        return Feed.PAYMENTS
    return Feed(webhook_endpoint_pb2.WebhookFeed.Name(wanted).removeprefix("WEBHOOK_FEED_"))
