"""Changes of incidents at an operator's endpoint, and that nobody else comes near it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import ERRORS
from gateway.foresight.actions import Bounds, Posture
from gateway.foresight.incident import Incident, IncidentChange, IncidentState, Telling
from gateway.foresight_service import store
from gateway.foresight_service.outgoing import IncidentFeed
from gateway.identity import RequestIdentity
from gateway.numbering import number_changes
from gateway.v1 import foresight_service_pb2, webhook_endpoint_pb2
from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.validation import VALIDATOR
from gateway.webhooks_out.commands import Endpoints
from gateway.webhooks_out.feeds import PaymentFeed
from gateway.webhooks_out.service import WebhookEndpointServicer
from runtime import auth
from runtime.clock import ManualClock
from runtime.errors import ServiceError
from runtime.idempotency import RequestIds
from runtime.notifier import Notifier
from runtime.rights import Caller, Role
from runtime.sealing import Sealer
from runtime.webhook_addresses import Destinations
from tests.gateway.payments.shop import fresh
from tests.gateway.running import OpenShop, refusal_of
from tests.gateway.webhooks_out.conftest import Hooks
from tests.gateway.webhooks_out.receiver import Receiver

INCIDENTS = webhook_endpoint_pb2.WEBHOOK_FEED_INCIDENTS
PAYMENTS = webhook_endpoint_pb2.WEBHOOK_FEED_PAYMENTS
DELIVERED = webhook_endpoint_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60
FORESEEN = {
    "probabilities": [0.2, 0.4, 0.6],
    "broken": [],
    "stepped": [],
    "signals": [{"signal": "latency_p95_ms", "deviations": 6.5, "trend": 2.0}],
    "minutes_to_breach": 18.5,
    "part": "latency",
}


def incident(raised: int, change: IncidentChange, state: IncidentState) -> Incident:
    telling = Telling(change, raised, FORESEEN, Posture(0.3, 0.7, incident=True), Bounds())
    is_over = not state.is_open
    return Incident(raised, FORESEEN, True, state, None, raised + 9 if is_over else None, telling)


OPENED = IncidentChange.OPENED, IncidentState.FORESEEN
UPDATED = IncidentChange.UPDATED, IncidentState.FORESEEN
CLOSED = IncidentChange.CLOSED, IncidentState.PASSED


async def write(engine: AsyncEngine, *incidents: Incident) -> None:
    """In one transaction, and numbered after it, as the gateway does."""
    async with engine.begin() as connection:
        for each in incidents:
            await store.write_incident(connection, "default", each, NOW, is_incident=True)
    async with engine.begin() as connection:
        await number_changes(connection, store.FEED, NOW)


async def test_each_change_arrives_signed_in_order_and_again_until_it_is_taken(
    open_shop: OpenShop, receiver: Receiver, engine: AsyncEngine
) -> None:
    clock = ManualClock(datetime.now(UTC))
    refused: list[str] = []

    def refuse_first(received: Any) -> int:
        identity = received.headers["webhook-id"]
        if identity == "inc_2" and identity not in refused:
            refused.append(identity)
            return 503
        return 204

    receiver.answer = refuse_first
    async with open_shop(clock, webhooks=False) as shop:
        hooks = Hooks(shop)
        endpoint, secret = await hooks.create(receiver.url, transitions=[], feed=INCIDENTS)
        assert (endpoint.feed, endpoint.dispatched_sequence) == (INCIDENTS, 0)
        await write(engine, *(incident(MINUTE, *each) for each in (OPENED, UPDATED)))
        # A payment is none of its business.
        await shop.create()
        await receiver.until(lambda _: bool(refused))

        async def taken() -> None:
            await hooks.delivered(endpoint, DELIVERED, 2)

        waiting = asyncio.ensure_future(taken())
        while not waiting.done():
            clock.advance(timedelta(minutes=1))
            await asyncio.wait([waiting], timeout=0.05)
        await waiting
        await write(engine, incident(MINUTE, *CLOSED))
        await hooks.delivered(endpoint, DELIVERED, 3)
        listed = await hooks.deliveries(endpoint)
    identities = [one.headers["webhook-id"] for one in receiver.received]
    assert list(dict.fromkeys(identities)) == ["inc_1", "inc_2", "inc_3"]
    assert identities.count("inc_2") >= 2
    assert len({one.body for one in receiver.received}) == 3
    assert all(one.verified_with(secret) for one in receiver.received)
    assert [one.data["type"] for one in receiver.received if one.sequence != 2] == [
        "incident.opened",
        "incident.closed",
    ]
    change = ParseDict(
        receiver.received[0].data["data"], foresight_service_pb2.WatchIncidentsResponse()
    )
    assert change.incident.id == f"default-{MINUTE}"
    assert change.incident.latest.signals[0].signal == "latency_p95_ms"
    assert (change.incident.treatment.discount, change.incident.treatment.most_discount) == (
        *(0.3, 0.5),
    )
    assert [(one.incident_id, one.payment_id) for one in listed] == [(f"default-{MINUTE}", "")] * 3
    assert [one.webhook_id for one in listed] == ["inc_1", "inc_2", "inc_3"]


async def test_what_came_before_a_start_is_sent_after_it_filtered_and_replayed(
    open_shop: OpenShop, receiver: Receiver, engine: AsyncEngine
) -> None:
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        some, _ = await hooks.create(receiver.url, transitions=["closed"], feed=INCIDENTS)
    await write(engine, *(incident(MINUTE, *each) for each in (OPENED, UPDATED, CLOSED)))
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        await hooks.delivered(some, DELIVERED, 1)
        assert [one.data["type"] for one in receiver.received] == ["incident.closed"]
        # From the beginning, to one that takes all.
        all_of_it, _ = await hooks.create(receiver.url, transitions=[], feed=INCIDENTS)
        assert all_of_it.dispatched_sequence == 3
        replay = pb.ReplayWebhookEventsRequest(request_id=fresh(), endpoint_id=all_of_it.id)
        await hooks.stub.ReplayWebhookEvents(replay)
        await hooks.delivered(all_of_it, DELIVERED, 3)
        replay = pb.ReplayWebhookEventsRequest(
            request_id=fresh(), endpoint_id=all_of_it.id, after_sequence=9
        )
        outdated = await refusal_of(hooks.stub.ReplayWebhookEvents(replay))
        assert (outdated.reason, outdated.metadata["after_sequence"]) == ("CURSOR_OUTDATED", "3")


async def test_incidents_are_no_merchants(open_shop: OpenShop, receiver: Receiver) -> None:
    async with open_shop(webhooks=False) as shop:
        hooks = Hooks(shop)
        refused = await refusal_of(hooks.create(receiver.url, feed=INCIDENTS, merchant_id="m_1"))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [each.field for each in refused.violations] == ["merchant_id"]
        endpoint, _ = await hooks.create(receiver.url, feed=INCIDENTS)
        update = pb.UpdateWebhookEndpointRequest(
            request_id=fresh(), endpoint_id=endpoint.id, url=receiver.url, merchant_id="m_1"
        )
        refused = await refusal_of(hooks.stub.UpdateWebhookEndpoint(update))
        assert [each.field for each in refused.violations] == ["merchant_id"]
        update.merchant_id, update.disabled = "", True
        changed = (await hooks.stub.UpdateWebhookEndpoint(update)).endpoint
        assert changed.state == webhook_endpoint_pb2.WEBHOOK_ENDPOINT_STATE_DISABLED
        assert (changed.feed, changed.disabled_reason) == (INCIDENTS, "client")
        delete = pb.DeleteWebhookEndpointRequest(request_id=fresh(), endpoint_id=endpoint.id)
        await hooks.stub.DeleteWebhookEndpoint(delete)
        await hooks.stub.DeleteWebhookEndpoint(delete)
        wrong: Any = 99
        refused = await refusal_of(hooks.create(receiver.url, feed=wrong))
        assert [each.field for each in refused.violations] == ["feed"]


@contextmanager
def called_by(who: Caller) -> Iterator[None]:
    token = auth._caller.set(who)
    try:
        yield
    finally:
        auth._caller.reset(token)


@pytest.fixture
def servicer(engine: AsyncEngine) -> WebhookEndpointServicer:
    clock, notifier = ManualClock(NOW), Notifier()
    feeds = {each.feed: each for each in (PaymentFeed(), IncidentFeed())}
    sealer, ids = Sealer(()), RequestIds(ERRORS, VALIDATOR)
    endpoints = Endpoints(
        *(engine, feeds, sealer, clock, notifier, notifier, ids, RequestIdentity("")),
    )
    anywhere = Destinations(anywhere=True)
    return WebhookEndpointServicer(engine, feeds, endpoints, clock, anywhere, {Role.OPERATOR})


OPERATOR = Caller("ops.internal", Role.OPERATOR)
OTHERS = [
    Caller("platform.internal", Role.CLIENT),
    Caller("shop.internal", Role.CLIENT, frozenset({"m_1"})),
    Caller("bound.internal", Role.OPERATOR, frozenset({"m_1"})),
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda who: who.name)
async def test_to_who_may_not_watch_incidents_their_endpoints_are_not_there(
    servicer: WebhookEndpointServicer, engine: AsyncEngine, other: Caller
) -> None:
    create = pb.CreateWebhookEndpointRequest(
        request_id=fresh(), url="http://127.0.0.1:1/hook", feed=INCIDENTS
    )
    with called_by(OPERATOR):
        made = (await servicer.CreateWebhookEndpoint(create, None)).endpoint
    rotate = pb.RotateWebhookSecretRequest(request_id=fresh(), endpoint_id=made.id)
    with called_by(OPERATOR):
        await servicer.RotateWebhookSecret(rotate, None)
    named: dict[str, Any] = {"request_id": fresh(), "endpoint_id": made.id}
    calls: list[tuple[Any, Any]] = [
        (servicer.GetWebhookEndpoint, pb.GetWebhookEndpointRequest(endpoint_id=made.id)),
        (
            servicer.UpdateWebhookEndpoint,
            pb.UpdateWebhookEndpointRequest(**named, url="http://127.0.0.1:2/mine"),
        ),
        (servicer.DeleteWebhookEndpoint, pb.DeleteWebhookEndpointRequest(**named)),
        # Also the request that the operator has made, whose answer is the secret.
        (servicer.RotateWebhookSecret, rotate),
        (servicer.ListWebhookDeliveries, pb.ListWebhookDeliveriesRequest(endpoint_id=made.id)),
        (
            servicer.ReplayWebhookDelivery,
            pb.ReplayWebhookDeliveryRequest(**named, delivery_id=1),
        ),
        (servicer.ReplayWebhookEvents, pb.ReplayWebhookEventsRequest(**named)),
    ]
    with called_by(other):
        for call, request in calls:
            with pytest.raises(ServiceError) as refused:
                await call(request, None)
            assert refused.value.code is grpc.StatusCode.NOT_FOUND, request
        listed = await servicer.ListWebhookEndpoints(pb.ListWebhookEndpointsRequest(), None)
        assert not listed.endpoints
        with pytest.raises(ServiceError) as forbidden:
            await servicer.CreateWebhookEndpoint(create, None)
        assert forbidden.value.code is grpc.StatusCode.PERMISSION_DENIED
    with called_by(OPERATOR):
        listed = await servicer.ListWebhookEndpoints(pb.ListWebhookEndpointsRequest(), None)
    assert [each.url for each in listed.endpoints] == [made.url]
    # To code of the release before, which would send it payments, it is deleted.
    async with engine.connect() as connection:
        state = await connection.execute(text("SELECT state FROM webhook_endpoint"))
        assert state.scalar_one() == "DELETED"
