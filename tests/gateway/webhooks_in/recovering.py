"""Event recovery of one corridor, for tests."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.recovery import ConnectedAccounts, EventRecovery, received_from
from gateway.webhooks_in.walk_markers import WalkMarkers
from gateway.webhooks_in.walk_proofs import WalkProofs
from runtime.clock import Clock

CHARGE = {
    "amount": 1000,
    "currency": "eur",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
}


async def nobody(_corridor: str, _after: int, _limit: int) -> list[tuple[int, str]]:
    """No connected accounts."""
    return []


def recovery_of(
    stripe_client: StripeClient,
    engine: AsyncEngine,
    clock: Clock,
    connected: ConnectedAccounts = nobody,
    broker: Broker | None = None,
    **limits: int,
) -> EventRecovery:
    """What a process that starts has."""
    inbox, markers = PostgresInbox(engine, clock), WalkMarkers(engine)
    proofs = WalkProofs(markers, broker)
    return EventRecovery(stripe_client, inbox, markers, proofs, clock, connected, **limits)


async def listed(stripe_client: StripeClient) -> list[dict[str, Any]]:
    """All events that Stripe has, newest first."""
    events = await stripe_client.records.list_events("default", {"limit": 100})
    assert events.object is not None
    found: list[dict[str, Any]] = events.object["data"]
    return found


async def deliver(engine: AsyncEngine, clock: Clock, page: list[dict[str, Any]]) -> None:
    """Stores events as if Stripe had delivered them; it does not list them as undelivered."""
    await PostgresInbox(engine, clock).store_all(received_from(page, "default", None, clock.now()))


async def stored(engine: AsyncEngine) -> list[str]:
    """Ids of the events in the inbox, in order."""
    async with engine.connect() as connection:
        ids = await connection.execute(text("SELECT event_id FROM webhook_event ORDER BY sequence"))
        return [str(one) for one in ids.scalars()]
