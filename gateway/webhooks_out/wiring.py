"""Posting changes to endpoints, as one process takes part in it."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.identity import RequestIdentity
from gateway.limits import Limits
from gateway.part import Part
from gateway.v1 import webhook_endpoint_service_pb2, webhook_endpoint_service_pb2_grpc
from gateway.webhooks_out.commands import Endpoints
from gateway.webhooks_out.dispatching import Dispatcher
from gateway.webhooks_out.feeds import Feeds, PaymentFeed, WebhookFeed
from gateway.webhooks_out.service import WebhookEndpointServicer
from gateway.webhooks_out.store import DELIVERY_CHANNEL
from gateway.webhooks_out.worker import DeliveryWorker
from runtime.clock import Clock
from runtime.idempotency import RequestIds
from runtime.notifier import Notifier
from runtime.server import registered
from runtime.webhook_sending import Sender

# Who may watch incidents may have them sent.
WATCHING = "gateway.v1.ForesightService"


def open_webhooks_out(
    settings: GatewaySettings,
    engine: AsyncEngine,
    request_ids: RequestIds,
    identity: RequestIdentity,
    event_notifier: Notifier,
    others: Sequence[WebhookFeed],
    clock: Clock,
    limits: Limits,
) -> Part:
    """`event_notifier` tells of new changes of payments; `others` are what endpoints can be of
    besides. There is nothing to close."""
    feeds: Feeds = {each.feed: each for each in (PaymentFeed(), *others)}
    watchers = settings.rights_in_force[WATCHING]["WatchIncidents"].roles
    destinations = settings.webhook_destinations
    sealer, notifier = settings.webhook_sealer, Notifier()
    endpoints = Endpoints(
        engine, feeds, sealer, clock, event_notifier, notifier, request_ids, identity
    )
    servicer = WebhookEndpointServicer(engine, feeds, endpoints, clock, destinations, watchers)
    most = limits.deliveries_under_way
    sender = Sender(destinations)
    worker = DeliveryWorker(engine, feeds, sender, sealer, clock, notifier, max_under_way=most)
    return Part(
        services=(
            registered(webhook_endpoint_service_pb2, webhook_endpoint_service_pb2_grpc, servicer),
        ),
        worker_loops=(worker.loop(),),
        leader_tasks=Dispatcher(engine, feeds, clock, notifier, limits).loops(event_notifier),
        notifiers={DELIVERY_CHANNEL: notifier},
        drains=(worker.stop,),
    )
