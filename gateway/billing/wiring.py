"""Billing as every process shows it, the events about it, and the leader's walks."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.billing.reading import BillingEvents, BillingWalks
from gateway.billing.service import BillingServicer
from gateway.billing.store import CHANNEL, FEED, BillingStore
from gateway.config import GatewaySettings
from gateway.numbering import Numbering
from gateway.operations.gate import Gate
from gateway.part import Part
from gateway.stripe_client.client import StripeClient
from gateway.v1 import billing_service_pb2, billing_service_pb2_grpc
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.server import registered


def open_billing(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    gate: Gate,
    clock: Clock,
) -> Part:
    """There is nothing to close. Unless it is wanted, Stripe is not asked for any of it."""
    notifier = Notifier()
    servicer = BillingServicer(BillingStore(engine), notifier)
    served = (registered(billing_service_pb2, billing_service_pb2_grpc, servicer),)
    if not settings.billing:
        return Part(services=served, notifiers={CHANNEL: notifier})
    interval = timedelta(seconds=settings.billing_sweep_seconds)
    return Part(
        services=served,
        notifiers={CHANNEL: notifier},
        worker_loops=(Numbering(engine, FEED, gate, clock).loop(),),
        leader_tasks=(BillingWalks(engine, stripe_client, interval, clock).loop(),),
        event_routes=BillingEvents(engine, stripe_client, clock).routes(),
    )
