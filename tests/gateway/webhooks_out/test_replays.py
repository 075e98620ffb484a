"""What is sent again because somebody asks for it."""

from datetime import UTC, datetime

import grpc
import pytest

from gateway.v1 import webhook_endpoint_pb2
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from runtime.webhooks import MAX_ATTEMPTS
from sandbox.polling import poll
from tests.gateway.payments.shop import fresh
from tests.gateway.running import OpenShop
from tests.gateway.webhooks_out.conftest import CHARGED, Hooks
from tests.gateway.webhooks_out.receiver import Receiver

DEAD = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DEAD
DELIVERED = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED
CHANGES_OF_A_CHARGE = len(CHARGED)


async def test_what_is_never_taken_is_a_dead_letter_and_can_be_replayed(
    open_shop: OpenShop, receiver: Receiver
) -> None:
    clock = ManualClock(datetime.now(UTC))
    poison = {"transition": "compliance_allowed"}
    receiver.answer = lambda r: 500 if r.data["data"]["transition"] == poison["transition"] else 204
    async with open_shop(clock, webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, _ = await hooks.create(receiver.url)
        await shop.create()
        for attempts in range(1, MAX_ATTEMPTS + 1):
            poisoned = await attempted(hooks, endpoint, attempts)
            if poisoned.state == DEAD:
                break
            clock.advance(poisoned.next_attempt_time.ToDatetime(UTC) - clock.now())
        # What was behind it in the same payment goes on then.
        await hooks.delivered(endpoint, DELIVERED, CHANGES_OF_A_CHARGE - 1)
        [letter] = await hooks.deliveries(endpoint, DEAD)
        assert (letter.attempt_count, letter.last_failure) == (MAX_ATTEMPTS, "http_status")
        assert letter.last_http_status == 500
        poison.clear()
        poison["transition"] = "none"
        replay = pb.ReplayWebhookDeliveryRequest(
            request_id=fresh(), endpoint_id=endpoint.id, delivery_id=letter.id
        )
        await hooks.stub.ReplayWebhookDelivery(replay)
        await hooks.delivered(endpoint, DELIVERED, CHANGES_OF_A_CHARGE)
        # The same request again replays nothing.
        await hooks.stub.ReplayWebhookDelivery(replay)
        assert await hooks.deliveries(endpoint, DEAD) == []
        replay.request_id = fresh()
        replay.delivery_id = 10**9
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await hooks.stub.ReplayWebhookDelivery(replay)
        assert from_rpc_error(refused.value).reason == "WEBHOOK_DELIVERY_NOT_FOUND"


async def test_events_are_sent_again_from_a_sequence_on(
    open_shop: OpenShop, receiver: Receiver
) -> None:
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        payment = await shop.create()
        await shop.watch_until(payment.id, payment.state)
        endpoint, _ = await hooks.create(receiver.url)
        assert endpoint.dispatched_sequence >= CHANGES_OF_A_CHARGE
        replay = pb.ReplayWebhookEventsRequest(
            request_id=fresh(), endpoint_id=endpoint.id, after_sequence=1
        )
        await hooks.stub.ReplayWebhookEvents(replay)
        received = await receiver.until(lambda found: len(found) == 3)
        assert sorted(r.sequence for r in received) == [2, 3, 4]
        await hooks.delivered(endpoint, DELIVERED, 3)
        replay.request_id = fresh()
        await hooks.stub.ReplayWebhookEvents(replay)
        await receiver.until(lambda found: len(found) == 6)


async def attempted(
    hooks: Hooks, endpoint: webhook_endpoint_pb2.WebhookEndpoint, attempts: int
) -> webhook_endpoint_pb2.WebhookDelivery:
    """The delivery that fails, once it was tried so often."""
    found = await poll(
        lambda: hooks.deliveries(endpoint),
        lambda found: any(d.last_failure and d.attempt_count == attempts for d in found),
    )
    return next(delivery for delivery in found if delivery.last_failure)
