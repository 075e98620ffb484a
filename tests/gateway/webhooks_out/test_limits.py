"""What is kept within bounds: endpoints, what waits for one, requests under way, what is kept."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.limits import Limits
from gateway.v1 import webhook_endpoint_pb2
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.webhooks_out import deliveries
from gateway.webhooks_out.commands import MAX_ENDPOINTS
from gateway.webhooks_out.deliveries import KEEP_DELIVERED
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from tests.gateway.payments.shop import fresh
from tests.gateway.running import OpenShop
from tests.gateway.webhooks_out.conftest import CHARGED, Hooks
from tests.gateway.webhooks_out.receiver import Receiver

DELIVERED = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AT_ONCE = 8

# One endpoint again and again, under other ids.
_COPY_ENDPOINT = """
    INSERT INTO webhook_endpoint
    SELECT copy.*
    FROM webhook_endpoint AS endpoint
    CROSS JOIN generate_series(1, %(copies)s) AS number
    CROSS JOIN LATERAL jsonb_populate_record(
        endpoint, jsonb_build_object('id', endpoint.id || lpad(number::text, 4, '0'))
    ) AS copy
    WHERE endpoint.id = %(id)s
"""
_ADD_ENDPOINT = """
    INSERT INTO webhook_endpoint (
        id, url, description, merchant_id, transitions, max_in_flight, state, disable_cause,
        dispatched_sequence, create_time, update_time
    ) VALUES ('whe_1', 'https://shop.example/', '', '', '{}', 4, 'ENABLED', '', 0, %(now)s, %(now)s)
"""
_ADD_DELIVERY = """
    INSERT INTO webhook_delivery (
        endpoint_id, sequence, payment_id, state, attempts, next_attempt_time, fencing_token,
        last_http_status, last_failure, create_time, end_time
    ) VALUES ('whe_1', %s, 'pay_1', %s, 1, %s, 0, 0, '', %s, %s)
"""


async def test_one_endpoint_more_than_there_may_be_is_refused_and_not_made(
    open_shop: OpenShop, database_url: str
) -> None:
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        first, _ = await hooks.create("http://127.0.0.1:1/hook")
        with psycopg.connect(database_url) as connection:
            copies = {"id": first.id, "copies": MAX_ENDPOINTS - 2}
            connection.execute(_COPY_ENDPOINT, copies)
        await hooks.create("http://127.0.0.1:1/hook")
        request_id = fresh()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await hooks.create("http://127.0.0.1:1/hook", request_id=request_id)
        error = from_rpc_error(refused.value)
        assert (error.code, error.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "TOO_MANY_WEBHOOK_ENDPOINTS",
        )
        with psycopg.connect(database_url) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM webhook_endpoint").fetchall()
        assert count == MAX_ENDPOINTS
        # One that was deleted leaves its place, and the request may come again.
        await hooks.stub.DeleteWebhookEndpoint(
            pb.DeleteWebhookEndpointRequest(request_id=fresh(), endpoint_id=first.id)
        )
        await hooks.create("http://127.0.0.1:1/hook", request_id=request_id)


async def test_of_many_at_once_only_so_many_are_made_as_there_may_be(
    open_shop: OpenShop, database_url: str
) -> None:
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        first, _ = await hooks.create("http://127.0.0.1:1/hook")
        with psycopg.connect(database_url) as connection:
            copies = {"id": first.id, "copies": MAX_ENDPOINTS - 3}
            connection.execute(_COPY_ENDPOINT, copies)
        made = await asyncio.gather(
            *(hooks.create("http://127.0.0.1:1/hook") for _ in range(AT_ONCE)),
            return_exceptions=True,
        )
        refused = [each for each in made if isinstance(each, grpc.aio.AioRpcError)]
        assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert len(made) - len(refused) == 2
        with psycopg.connect(database_url) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM webhook_endpoint").fetchall()
        assert count == MAX_ENDPOINTS


async def test_no_more_is_put_in_line_for_an_endpoint_that_does_not_take_it(
    open_shop: OpenShop, receiver: Receiver
) -> None:
    receiver.open.clear()
    limits = Limits(delivery_backlog=2, dispatch_batch=1)
    async with open_shop(webhooks=False, limits=limits) as shop:
        hooks = Hooks(shop)
        endpoint, _ = await hooks.create(receiver.url)
        payment = await shop.create()
        await shop.watch_until(payment.id, payment.state)
        await poll(lambda: hooks.deliveries(endpoint), lambda found: len(found) == 2)
        waiting = await hooks.get(endpoint)
        assert waiting.dispatched_sequence == 2
        receiver.open.set()
        await hooks.delivered(endpoint, DELIVERED, len(CHARGED))
    assert sorted(received.sequence for received in receiver.received) == [1, 2, 3, 4]


async def test_so_many_requests_of_a_process_are_under_way_at_once(
    open_shop: OpenShop, open_receiver: Callable[[], Any], database_url: str
) -> None:
    receivers = [await open_receiver() for _ in range(3)]
    for receiver in receivers:
        receiver.open.clear()
    limits = Limits(deliveries_under_way=2)
    async with open_shop(webhooks=False, limits=limits) as shop:
        hooks = Hooks(shop)
        endpoints = [(await hooks.create(r.url, transitions=["captured"]))[0] for r in receivers]

        async def under_way() -> int:
            return sum(len(receiver.received) for receiver in receivers)

        async def made() -> int:
            return sum([len(await hooks.deliveries(endpoint)) for endpoint in endpoints])

        await shop.create()
        await poll(made, lambda count: count == 3)
        await poll(under_way, lambda count: count == 2)
        # The third is due, and is not even claimed.
        with psycopg.connect(database_url) as connection:
            leased = "SELECT count(*) FROM webhook_delivery WHERE lease_until IS NOT NULL"
            assert connection.execute(leased).fetchall() == [(2,)]
        held = [receiver for receiver in receivers if receiver.received]
        held[0].open.set()
        await poll(under_way, lambda count: count == 3)
        for receiver in receivers:
            receiver.open.set()
        for endpoint in endpoints:
            await hooks.delivered(endpoint, DELIVERED, 1)
    assert [len(receiver.received) for receiver in receivers] == [1, 1, 1]


async def test_what_was_delivered_is_kept_for_its_days_and_what_was_not_for_ever(
    engine: AsyncEngine, database_url: str
) -> None:
    edge = NOW - KEEP_DELIVERED
    with psycopg.connect(database_url) as connection:
        connection.execute(_ADD_ENDPOINT, {"now": NOW})
        for sequence, (state, ended) in enumerate(
            [
                ("DELIVERED", edge),
                ("DELIVERED", edge - SECOND),
                ("DELIVERED", edge - 2 * SECOND),
                ("DELIVERED", edge - 3 * SECOND),
                ("DEAD", edge - SECOND),
                ("PENDING", None),
            ],
            start=1,
        ):
            old = edge - timedelta(days=1)
            connection.execute(_ADD_DELIVERY, [sequence, state, old, old, ended])
    purged = []
    for _ in range(3):
        async with engine.begin() as connection:
            purged.append(await deliveries.purge(connection, NOW, limit=2))
    assert purged == [2, 1, 0]
    with psycopg.connect(database_url) as left:
        rows = left.execute("SELECT sequence FROM webhook_delivery ORDER BY sequence").fetchall()
    assert rows == [(1,), (5,), (6,)]
