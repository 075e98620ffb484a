"""Changes of payments at a client's endpoint: signed, in order, again and again until taken."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict

from gateway.v1 import payment_service_pb2, webhook_endpoint_pb2
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.v1.payment_pb2 import PaymentMethod
from gateway.webhooks_out.domain import DISABLE_AFTER
from gateway.webhooks_out.worker import DeliveryWorker
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from tests.gateway.payments.shop import fresh
from tests.gateway.running import OpenShop
from tests.gateway.webhooks_out.conftest import CHARGED, Hooks
from tests.gateway.webhooks_out.receiver import Received, Receiver

DELIVERED = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED
DISABLED = webhook_endpoint_pb2.WEBHOOK_ENDPOINT_STATE_DISABLED
CHANGES_OF_A_CHARGE = len(CHARGED)
OpenReceiver = Callable[[], Any]


def of_charges(count: int) -> Callable[[list[Received]], bool]:
    return lambda received: len({r.sequence for r in received}) >= count * CHANGES_OF_A_CHARGE


def of_a_charge(received: list[Received]) -> list[Received]:
    return [r for r in received if r.data["data"]["transition"] in CHARGED]


def in_order(received: list[Received]) -> bool:
    """Whether each payment's changes came first in the order of their revisions."""
    firsts: dict[str, list[int]] = defaultdict(list)
    for request in received:
        revision = request.revision
        if revision not in firsts[request.payment_id]:
            firsts[request.payment_id].append(revision)
    return all(revisions == sorted(revisions) for revisions in firsts.values())


async def test_every_change_arrives_once_signed_and_in_order(
    open_shop: OpenShop, receiver: Receiver
) -> None:
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, secret = await hooks.create(receiver.url, max_in_flight=8, transitions=[])
        await asyncio.gather(*(shop.create() for _ in range(5)))
        received = await receiver.until(lambda found: len(of_a_charge(found)) >= 20)
        await hooks.delivered(endpoint, DELIVERED, 5 * CHANGES_OF_A_CHARGE)
        listed = await hooks.get(endpoint)
    assert len({r.sequence for r in received}) == len(received)
    assert len(of_a_charge(received)) == 20
    assert in_order(received)
    for request in received:
        assert request.verified_with(secret)
        assert request.headers["webhook-id"] == f"evt_{request.sequence}"
        assert request.headers["content-type"] == "application/json"
        body = request.data
        assert body["type"] == f"payment.{body['data']['transition']}"
        change = ParseDict(body["data"], payment_service_pb2.WatchPaymentsResponse())
        assert change.payment.merchant_id == "m_1"
    assert secret.startswith("whsec_")
    assert secret not in str(listed)


async def test_no_client_secret_leaves(open_shop: OpenShop, receiver: Receiver) -> None:
    async with open_shop(webhooks=False) as shop:
        await Hooks(shop).create(receiver.url, transitions=["action_required"])
        token = "pm_card_threeDSecure2Required"
        payment = await shop.create(payment_method=PaymentMethod(token=token))
        [request] = await receiver.until(lambda received: len(received) == 1)
    assert payment.next_action.client_secret
    assert payment.next_action.client_secret.encode() not in request.body


async def test_a_failing_endpoint_is_tried_again_with_the_same_id_and_body(
    open_shop: OpenShop, receiver: Receiver
) -> None:
    clock = ManualClock(datetime.now(UTC))
    seen: list[int] = []

    def refuse_twice(received: Received) -> int:
        seen.append(received.sequence)
        return 500 if seen.count(received.sequence) <= 2 else 200

    receiver.answer = refuse_twice
    async with open_shop(clock, webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, secret = await hooks.create(receiver.url)
        await shop.create()
        delivered = asyncio.ensure_future(hooks.delivered(endpoint, DELIVERED, CHANGES_OF_A_CHARGE))
        await passing(clock, delivered, timedelta(minutes=3))
    assert in_order(receiver.received)
    for sequence in range(1, CHANGES_OF_A_CHARGE + 1):
        tries = [r for r in receiver.received if r.sequence == sequence]
        # More where the clock jumped over the lease of one that was under way.
        assert len(tries) >= 3
        assert len({(r.headers["webhook-id"], r.body) for r in tries}) == 1
        assert all(r.verified_with(secret) for r in tries)


async def test_a_slow_and_a_dead_endpoint_hold_up_nobody(
    open_shop: OpenShop, open_receiver: OpenReceiver
) -> None:
    good, slow = await open_receiver(), await open_receiver()
    slow.open.clear()
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        slow_endpoint, _ = await hooks.create(slow.url, max_in_flight=2)
        dead_endpoint, _ = await hooks.create("http://127.0.0.1:1/hook")
        await hooks.create(good.url)
        await asyncio.gather(*(shop.create() for _ in range(4)))
        await good.until(of_charges(4))
        assert len(slow.received) <= 2
        # Of a payment nothing goes out before what was earlier; of an endpoint that fails, one.
        assert in_order(slow.received)
        await poll(
            lambda: hooks.deliveries(dead_endpoint),
            lambda found: any(d.last_failure == "connect" for d in found),
        )
        assert (await hooks.get(dead_endpoint)).HasField("failing_since_time")
        slow.open.set()
        await slow.until(of_charges(4))
        await hooks.delivered(slow_endpoint, DELIVERED, 4 * CHANGES_OF_A_CHARGE)
    assert in_order(slow.received)


async def test_an_endpoint_is_disabled_after_days_and_loses_nothing(
    open_shop: OpenShop, receiver: Receiver
) -> None:
    clock = ManualClock(datetime.now(UTC))
    receiver.answer = lambda _received: 302
    async with open_shop(clock, webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, _ = await hooks.create(receiver.url)
        await shop.create()

        async def given_up() -> webhook_endpoint_pb2.WebhookEndpoint:
            return await poll(lambda: hooks.get(endpoint), lambda found: found.state == DISABLED)

        disabled = asyncio.ensure_future(given_up())
        await passing(clock, disabled, DISABLE_AFTER / 8)
        assert disabled.result().disabled_reason == "failing"
        later = await shop.create()
        receiver.answer = lambda _received: 204
        sent = len(receiver.received)
        await hooks.stub.UpdateWebhookEndpoint(
            pb.UpdateWebhookEndpointRequest(
                request_id=fresh(), endpoint_id=endpoint.id, url=receiver.url
            )
        )
        all_sent = asyncio.ensure_future(
            hooks.delivered(endpoint, DELIVERED, CHANGES_OF_A_CHARGE + 1)
        )
        await passing(clock, all_sent, timedelta(hours=6))
    assert {r.payment_id for r in receiver.received[sent:]} >= {later.id}
    # Redirects are failures, and followed by nobody.
    assert all(r.headers["webhook-id"] for r in receiver.received)


async def test_secrets_rotate_with_an_overlap(open_shop: OpenShop, receiver: Receiver) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock, webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, old = await hooks.create(receiver.url, transitions=["captured"])
        rotate = pb.RotateWebhookSecretRequest(
            request_id=fresh(), endpoint_id=endpoint.id, overlap=Duration(seconds=3600)
        )
        new = (await hooks.stub.RotateWebhookSecret(rotate)).secret
        # The same request gets the same secret, and makes none.
        assert (await hooks.stub.RotateWebhookSecret(rotate)).secret == new != old
        await shop.create()
        [first] = await receiver.until(lambda received: len(received) == 1)
        assert first.verified_with(old)
        assert first.verified_with(new)
        clock.advance(timedelta(hours=1))
        await shop.create()
        _, second = await receiver.until(lambda received: len(received) == 2)
        assert second.verified_with(new)
        assert not second.verified_with(old)
        assert len((await hooks.get(endpoint)).secrets) == 1


async def test_settling_and_dispatching_do_not_wait_for_each_other(
    open_shop: OpenShop, receiver: Receiver, database_url: str
) -> None:
    receiver.open.clear()
    async with (
        open_shop(webhooks=False) as shop,
        await psycopg.AsyncConnection.connect(database_url) as dispatching,
    ):
        hooks = Hooks(shop)
        endpoint, _ = await hooks.create(receiver.url, transitions=["captured"])
        await shop.create()
        await receiver.until(lambda found: len(found) == 1)
        # What a dispatch locks first, while an answer comes in that is to be written down ...
        await dispatching.execute(
            "SELECT 1 FROM webhook_endpoint WHERE id = %s FOR UPDATE", [endpoint.id]
        )
        receiver.open.set()
        await poll(lambda: waiting_for(dispatching), lambda count: count > 0)
        # ... and what it locks next: here it would be told of a deadlock.
        await dispatching.execute("UPDATE webhook_delivery SET last_failure = ''")
        await dispatching.commit()
        await hooks.delivered(endpoint, DELIVERED, 1)
        [delivery] = await hooks.deliveries(endpoint)
    assert delivery.attempt_count == len(receiver.received) == 1


async def waiting_for(connection: psycopg.AsyncConnection[Any]) -> int:
    """How many sessions wait for a lock that the connection holds."""
    cursor = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
    [(count,)] = await cursor.fetchall()
    return int(count)


async def test_a_worker_that_dies_before_it_saves_sends_again_and_loses_nothing(
    open_shop: OpenShop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(datetime.now(UTC))
    finish = DeliveryWorker._finish

    async def die(*_arguments: Any) -> None:
        raise asyncio.CancelledError

    async with open_shop(clock, webhooks=False) as shop:
        endpoint, _ = await Hooks(shop).create(receiver.url, transitions=["captured"])
        monkeypatch.setattr(DeliveryWorker, "_finish", die)
        await shop.create()
        await receiver.until(lambda received: len(received) == 1)
    monkeypatch.setattr(DeliveryWorker, "_finish", finish)
    clock.advance(timedelta(minutes=1))
    async with open_shop(clock, webhooks=False) as shop:
        await Hooks(shop).delivered(endpoint, DELIVERED, 1)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


async def test_requests_are_done_once_and_endpoints_live_as_long_as_they_are_wanted(
    open_shop: OpenShop, receiver: Receiver, database_url: str
) -> None:
    async with open_shop(webhooks=False, webhook_secret_keys="A" * 43 + "=") as shop:
        hooks = Hooks(shop)
        request = pb.CreateWebhookEndpointRequest(request_id=fresh(), url=receiver.url)
        first = await hooks.stub.CreateWebhookEndpoint(request)
        again = await hooks.stub.CreateWebhookEndpoint(request)
        assert (again.endpoint.id, again.secret) == (first.endpoint.id, first.secret)
        # The default of what is left out is the same request.
        request.max_in_flight = 4
        assert (await hooks.stub.CreateWebhookEndpoint(request)).endpoint.id == first.endpoint.id
        request.description = "another"
        await refused(hooks.stub.CreateWebhookEndpoint(request), "REQUEST_ID_REUSED")
        listed = await hooks.stub.ListWebhookEndpoints(pb.ListWebhookEndpointsRequest())
        assert [e.id for e in listed.endpoints] == [first.endpoint.id]
        assert first.secret not in str(listed)
        with psycopg.connect(database_url) as connection:
            kept = connection.execute("SELECT sealed FROM webhook_endpoint_secret").fetchall()
        assert len(kept) == 1
        assert first.secret.encode() not in bytes(kept[0][0])
        delete = pb.DeleteWebhookEndpointRequest(request_id=fresh(), endpoint_id=first.endpoint.id)
        await hooks.stub.DeleteWebhookEndpoint(delete)
        await hooks.stub.DeleteWebhookEndpoint(delete)
        gone = pb.GetWebhookEndpointRequest(endpoint_id=first.endpoint.id)
        await refused(hooks.stub.GetWebhookEndpoint(gone), "WEBHOOK_ENDPOINT_NOT_FOUND")
        await shop.create()
        assert receiver.received == []


async def refused(call: Any, reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert from_rpc_error(error.value).reason == reason


async def passing(clock: ManualClock, task: "asyncio.Future[Any]", step: timedelta) -> None:
    """Waits while time goes by, so that what was put off becomes due."""
    while not task.done():
        clock.advance(step)
        await asyncio.wait({task}, timeout=0.2)
    await task
