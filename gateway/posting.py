"""Posting changes to clients' endpoints: what a process takes part in it with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.background import Loop
from gateway.leadership.leader_tasks import LeaderTask
from gateway.leadership.rounds import run_rounds
from gateway.parts import Parts
from gateway.webhooks_out.commands import Endpoints
from gateway.webhooks_out.dispatching import Dispatcher
from gateway.webhooks_out.sending import Sender
from gateway.webhooks_out.service import WebhookEndpointServicer
from gateway.webhooks_out.worker import MAX_IN_FLIGHT, DeliveryWorker
from runtime.config import Environment
from runtime.notifications import Notifier

POLL_SECONDS = 1.0
PURGE_SECONDS = 600.0


def webhook_endpoint_servicer(parts: Parts) -> WebhookEndpointServicer:
    """The service by which clients make their endpoints."""
    sealer = parts.settings.webhook_sealer
    return WebhookEndpointServicer(
        parts.engine,
        Endpoints(parts.engine, sealer, parts.clock, parts.event_notifier, parts.delivery_notifier),
        parts.clock,
        public_only=_public_only(parts),
    )


def dispatch_tasks(parts: Parts) -> list[LeaderTask]:
    """Making deliveries of events, and deleting old ones: one worker does it for all."""
    dispatcher = Dispatcher(parts.engine, parts.clock, parts.delivery_notifier)
    notifier = parts.event_notifier
    return [
        LeaderTask(
            "webhook dispatch",
            lambda: run_rounds("webhook dispatch", dispatcher.round, notifier, POLL_SECONDS),
        ),
        LeaderTask(
            "webhook purge",
            lambda: run_rounds("webhook purge", dispatcher.purge_round, Notifier(), PURGE_SECONDS),
        ),
    ]


@asynccontextmanager
async def sending(parts: Parts) -> AsyncIterator[Loop]:
    """The loop that sends; on exit it lets requests under way finish."""
    notifier = parts.delivery_notifier
    async with Sender(public_only=_public_only(parts), max_connections=MAX_IN_FLIGHT) as sender:
        worker = DeliveryWorker(
            parts.engine, sender, parts.settings.webhook_sealer, parts.clock, notifier
        )
        try:
            yield run_rounds("webhook sending", worker.round, notifier, POLL_SECONDS)
        finally:
            await worker.stop(parts.settings.drain_seconds)


def _public_only(parts: Parts) -> bool:
    """In the sandbox clients' servers are on this machine."""
    return parts.settings.env is not Environment.SANDBOX
