"""A row that cannot be read becomes a dead letter when it is claimed; its neighbours go on, and
health stays SERVING."""

import asyncio
from typing import Any

import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from gateway.v1 import webhook_endpoint_pb2
from gateway.v1 import webhook_endpoint_service_pb2 as endpoint_pb
from gateway.v1.corridor_service_pb2 import ListDeadLettersRequest, ReplayDeadLetterRequest
from gateway.v1.corridor_service_pb2_grpc import CorridorServiceStub
from gateway.v1.payment_service_pb2 import WatchPaymentsRequest
from sandbox.polling import poll
from tests.gateway.payments.shop import WAIT_SECONDS, Shop, fresh
from tests.gateway.running import OpenShop
from tests.gateway.webhooks_out.conftest import Hooks
from tests.gateway.webhooks_out.receiver import Receiver

SERVING = health_pb2.HealthCheckResponse.SERVING
DELIVERED = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED
DEAD = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DEAD
_ADD_EVENT = """
    INSERT INTO webhook_event (
        event_id, corridor, event_type, object_id, subject, created_time, body,
        next_attempt_time, receive_time
    ) VALUES ('evt_no_event', 'default', 'charge.updated', 'ch_1', 'default/ch_1', now(), %s,
        now(), now())
"""


def unreadable(items: str) -> float:
    labels = {"items": items, "failure": "unreadable"}
    return REGISTRY.get_sample_value("loop_items_failed_total", labels) or 0


async def rows(url: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []


async def is_serving(shop: Shop) -> bool:
    answer = await health_pb2_grpc.HealthStub(shop.channel).Check(health_pb2.HealthCheckRequest())
    return bool(answer.status == SERVING)


async def test_an_event_whose_body_is_no_event(open_shop: OpenShop, database_url: str) -> None:
    before = unreadable("webhook events")
    await rows(database_url, _ADD_EVENT, '{"object": "event"}')
    async with open_shop() as shop:
        corridors = CorridorServiceStub(shop.channel)

        async def dead_letters() -> Any:
            return (await corridors.ListDeadLetters(ListDeadLettersRequest())).dead_letters

        (letter,) = await poll(dead_letters, bool)
        assert (letter.event_id, letter.reason) == ("evt_no_event", "UNREADABLE")
        assert unreadable("webhook events") == before + 1
        # Events that come after it are dealt with.
        payment = await shop.create()

        async def done() -> Any:
            query = "SELECT count(*) FROM webhook_event WHERE state = 'DONE' AND body LIKE %s"
            return (await rows(database_url, query, f"%{payment.id}%"))[0][0]

        await poll(done, bool)
        # To replay it does no harm.
        await corridors.ReplayDeadLetter(
            ReplayDeadLetterRequest(request_id=fresh(), event_id="evt_no_event")
        )
        await poll(dead_letters, lambda found: len(found) == 1 and found[0] != letter)
        assert await is_serving(shop)


async def test_a_booking_that_cannot_be_read(open_shop: OpenShop, database_url: str) -> None:
    before = unreadable("bookings")

    async def first_booking(payment_id: str) -> tuple[Any, ...]:
        query = (
            "SELECT state, failure_reason, failure_message, attempts FROM booking"
            " WHERE payment_id = %s ORDER BY booking_number LIMIT 1"
        )
        (found,) = await rows(database_url, query, payment_id)
        return found

    async with open_shop(webhooks=False) as shop:
        bad, good = await shop.create(), await shop.create()
        await rows(
            database_url,
            "UPDATE booking SET fact = '{\"surprise\": true}' WHERE payment_id = %s",
            bad.id,
        )
        refused = await poll(
            lambda: first_booking(bad.id), lambda found: bool(found[0] == "REFUSED")
        )
        assert refused[:2] == ("REFUSED", "FACT_UNREADABLE")
        assert refused[2].startswith("TypeError: ")
        assert unreadable("bookings") >= before + 1
        # Nobody is at the ledger, so that the others are tried again and again.
        *_, attempts = await first_booking(good.id)
        waiting = await poll(
            lambda: first_booking(good.id), lambda found: bool(found[3] > attempts)
        )
        assert waiting[:2] == ("PENDING", "LEDGER_UNAVAILABLE")
        assert await is_serving(shop)


async def test_an_outgoing_delivery_whose_event_cannot_be_read(
    open_shop: OpenShop, receiver: Receiver, database_url: str
) -> None:
    before = unreadable("webhook deliveries")
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, _ = await hooks.create(receiver.url, transitions=["captured"])
        bad = await shop.create()
        await hooks.delivered(endpoint, DELIVERED, 1)
        (delivery,) = await hooks.deliveries(endpoint)
        await rows(
            database_url,
            "UPDATE payment_event SET snapshot = '\\xff' WHERE sequence = %s",
            delivery.sequence,
        )
        await hooks.stub.ReplayWebhookDelivery(
            endpoint_pb.ReplayWebhookDeliveryRequest(
                request_id=fresh(), endpoint_id=endpoint.id, delivery_id=delivery.id
            )
        )
        await hooks.delivered(endpoint, DEAD, 1)
        (dead,) = await hooks.deliveries(endpoint, DEAD)
        assert (dead.id, dead.last_failure) == (delivery.id, "unreadable")
        assert unreadable("webhook deliveries") == before + 1
        good = await shop.create()
        await hooks.delivered(endpoint, DELIVERED, 1)
        assert [each.payment_id for each in receiver.received] == [bad.id, good.id]
        assert await is_serving(shop)


async def test_a_change_that_cannot_be_read_leaves_no_hole_in_the_stream(
    open_shop: OpenShop, database_url: str
) -> None:
    async with open_shop(webhooks=False) as shop:
        bad = await shop.create()
        *_, captured = await shop.watch_until(bad.id, bad.state)
        await rows(
            database_url,
            "UPDATE payment_event SET snapshot = '\\xff' WHERE sequence = %s",
            captured.sequence,
        )
    async with open_shop(webhooks=False) as shop:
        good = await shop.create()
        stream = shop.stub.WatchPayments(WatchPaymentsRequest())
        seen = []
        async with asyncio.timeout(WAIT_SECONDS):
            async for change in stream:
                seen.append(change)
                if change.payment.id == good.id:
                    break
        stream.cancel()
        assert [change.sequence for change in seen] == list(range(1, len(seen) + 1))
        unread = seen[captured.sequence - 1]
        assert (unread.transition, unread.record_time) == ("captured", captured.record_time)
        assert (unread.payment.id, unread.payment.merchant_id) == (bad.id, bad.merchant_id)
        assert unread.payment.revision == 0
        assert await is_serving(shop)
