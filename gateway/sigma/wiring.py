"""Sigma's runs as every process shows them, the events about them, and the leader's task."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.numbering import Numbering
from gateway.operations.gate import Gate
from gateway.part import Part
from gateway.sigma.fetching import SigmaEvents, SigmaRuns, SigmaTimes
from gateway.sigma.service import SigmaServicer
from gateway.sigma.store import CHANNEL, FEED, SigmaStore
from gateway.stripe_client.client import StripeClient
from gateway.v1 import sigma_service_pb2, sigma_service_pb2_grpc
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.server import registered


def open_sigma(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    gate: Gate,
    clock: Clock,
) -> Part:
    """There is nothing to close. Unless it is wanted, Stripe is not asked for any of it."""
    notifier = Notifier()
    servicer = SigmaServicer(SigmaStore(engine), notifier)
    served = (registered(sigma_service_pb2, sigma_service_pb2_grpc, servicer),)
    if not settings.sigma:
        return Part(services=served, notifiers={CHANNEL: notifier})
    times = SigmaTimes(
        walk=timedelta(seconds=settings.sigma_walk_seconds),
        keep=timedelta(days=settings.sigma_keep_days),
    )
    return Part(
        services=served,
        notifiers={CHANNEL: notifier},
        worker_loops=(Numbering(engine, FEED, gate, clock).loop(),),
        leader_tasks=(SigmaRuns(engine, stripe_client, times, clock).loop(),),
        event_routes=SigmaEvents(engine, stripe_client, clock).routes(),
    )
