"""Commands on endpoints, each done once per request_id."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import Cursor, check_cursor
from gateway.identity import RequestIdentity
from gateway.webhooks_out import deliveries, store
from gateway.webhooks_out.domain import (
    DEFAULT_IN_FLIGHT,
    DEFAULT_OVERLAP,
    DisableCause,
    Endpoint,
    EndpointState,
    Feed,
    disabled,
    enabled,
)
from gateway.webhooks_out.errors import (
    delivery_not_found,
    endpoint_not_found,
    no_merchants_incidents,
    too_many_endpoints,
)
from gateway.webhooks_out.feeds import Feeds
from runtime.clock import Clock
from runtime.idempotency import RequestIds, RequestTable
from runtime.notifications import Notifier
from runtime.sealing import Sealer
from runtime.webhooks import new_secret

# All of them share the workers' request limit; see webhooks_out.worker.
MAX_ENDPOINTS = 200

Work = Callable[[AsyncConnection, Endpoint], Awaitable[None]]


class Endpoints:
    """Every method raises ServiceError as error_reason.proto says."""

    def __init__(
        self,
        engine: AsyncEngine,
        feeds: Feeds,
        sealer: Sealer,
        clock: Clock,
        event_notifier: Notifier,
        notifier: Notifier,
        request_ids: RequestIds,
        identity: RequestIdentity,
    ) -> None:
        """`event_notifier` wakes who makes deliveries, `notifier` who sends them, in this
        process."""
        self._engine = engine
        self._feeds = feeds
        self._sealer = sealer
        self._clock = clock
        self._event_notifier = event_notifier
        self._notifier = notifier
        self._identity = identity
        self._requests = RequestTable(request_ids, store.REQUEST)

    async def create(self, request: Any, feed: Feed) -> str:
        """Makes an endpoint with a secret; its id, or that of the one the request made before."""
        _check_merchant(feed, request)
        now = self._clock.now()
        endpoint = Endpoint(
            id=self._identity.of("whe", request),
            feed=feed,
            url=request.url,
            description=request.description,
            merchant_id=request.merchant_id,
            transitions=tuple(request.transitions),
            max_in_flight=request.max_in_flight or DEFAULT_IN_FLIGHT,
            state=EndpointState.ENABLED,
            disable_cause="",
            dispatched_sequence=0,
            failing_since=None,
            create_time=now,
            update_time=now,
        )
        async with self._engine.begin() as connection:
            known = await self._known(connection, request, endpoint.id)
            if known is not None:
                return known
            if await store.count_endpoints_alone(connection) >= MAX_ENDPOINTS:
                raise too_many_endpoints(MAX_ENDPOINTS)
            newest = (await self._feeds[feed].epochs(connection)).last_sequence
            await store.add_endpoint(connection, replace(endpoint, dispatched_sequence=newest))
            await self._add_secret(connection, endpoint.id, request.request_id)
        return endpoint.id

    async def update(self, request: Any) -> None:
        """Replaces what a client can set."""

        async def work(connection: AsyncConnection, endpoint: Endpoint) -> None:
            _check_merchant(endpoint.feed, request)
            now = self._clock.now()
            changed = replace(
                endpoint,
                url=request.url,
                description=request.description,
                merchant_id=request.merchant_id,
                transitions=tuple(request.transitions),
                max_in_flight=request.max_in_flight or DEFAULT_IN_FLIGHT,
                update_time=now,
            )
            if request.disabled:
                changed = disabled(changed, DisableCause.CLIENT, now)
            elif endpoint.state is EndpointState.DISABLED:
                changed = enabled(changed, now)
            await store.save_endpoint(connection, changed)

        await self._once(request, work)

    async def delete(self, request: Any) -> None:
        """Ends an endpoint for good."""

        async def work(connection: AsyncConnection, endpoint: Endpoint) -> None:
            gone = replace(
                endpoint,
                state=EndpointState.DELETED,
                disable_cause="",
                update_time=self._clock.now(),
            )
            await store.save_endpoint(connection, gone)
            await deliveries.drop_pending(connection, endpoint.id)

        await self._once(request, work)

    async def rotate(self, request: Any) -> None:
        """Adds a secret and ends the others, the present one after a while."""
        overlap = DEFAULT_OVERLAP
        if request.HasField("overlap"):
            overlap = request.overlap.ToTimedelta()

        async def work(connection: AsyncConnection, endpoint: Endpoint) -> None:
            now = self._clock.now()
            await store.expire_secrets(connection, endpoint.id, now, now + overlap)
            await self._add_secret(connection, endpoint.id, request.request_id)

        await self._once(request, work)

    async def replay_delivery(self, request: Any) -> None:
        """Has one delivery sent again."""

        async def work(connection: AsyncConnection, endpoint: Endpoint) -> None:
            number = request.delivery_id
            if not await deliveries.put_back(connection, endpoint.id, number, self._clock.now()):
                raise delivery_not_found(endpoint.id, number)
            await store.call_senders(connection)

        await self._once(request, work)

    async def replay_events(self, request: Any) -> None:
        """Moves the cursor back."""

        async def work(connection: AsyncConnection, endpoint: Endpoint) -> None:
            cursor = Cursor(request.epoch, request.after_sequence)
            check_cursor(await self._feeds[endpoint.feed].epochs(connection), cursor)
            if request.after_sequence < endpoint.dispatched_sequence:
                moved = replace(
                    endpoint,
                    dispatched_sequence=request.after_sequence,
                    update_time=self._clock.now(),
                )
                await store.save_endpoint(connection, moved)

        await self._once(request, work)

    async def secret_of(self, connection: AsyncConnection, request: Any, endpoint_id: str) -> str:
        """The secret that the request made, while it is in use; else empty."""
        rows = await store.active_secrets(connection, [endpoint_id], self._clock.now())
        for row in rows:
            if row.request_id == request.request_id:
                return self._sealer.open(endpoint_id, row.sealed).decode()
        return ""

    async def _once(self, request: Any, work: Work) -> None:
        async with self._engine.begin() as connection:
            endpoint = await store.get_endpoint(connection, request.endpoint_id, lock=True)
            if await self._known(connection, request, request.endpoint_id) is not None:
                return
            if endpoint is None:
                raise endpoint_not_found(request.endpoint_id)
            await work(connection, endpoint)
        self._event_notifier.notify()
        self._notifier.notify()

    async def _known(
        self, connection: AsyncConnection, request: Any, endpoint_id: str
    ) -> str | None:
        """The endpoint of the same request if it came before; else writes it down."""
        now = self._clock.now()
        if await self._requests.begin(
            connection, request, endpoint_id=endpoint_id, create_time=now
        ):
            return None
        known = await self._requests.find(connection, request)
        assert known is not None, "its id is taken"
        found: str = known.endpoint_id
        return found

    async def _add_secret(
        self, connection: AsyncConnection, endpoint_id: str, request_id: str
    ) -> None:
        sealed = self._sealer.seal(endpoint_id, new_secret().encode())
        await store.add_secret(connection, endpoint_id, sealed, request_id, self._clock.now())


def _check_merchant(feed: Feed, request: Any) -> None:
    if feed is Feed.INCIDENTS and request.merchant_id:
        raise no_merchants_incidents()
