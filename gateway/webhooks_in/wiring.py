"""Stripe's webhooks in one process: taking them in, and working them off."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import DATABASE_ROLE, GatewaySettings, Role
from gateway.errors import ERRORS
from gateway.part import EventRoutes, Part
from gateway.stripe_client.client import StripeClient
from gateway.validation import VALIDATOR
from gateway.webhooks_in.broker_relay import BrokerRelay
from gateway.webhooks_in.broker_wait import BrokerWait
from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.buffer import BrokerBuffer, Buffer, PostgresBuffer
from gateway.webhooks_in.consumer import ConsumerPolicy, WebhookConsumer
from gateway.webhooks_in.event import ReceivedEvent
from gateway.webhooks_in.inbox import CHANNEL, PostgresInbox
from gateway.webhooks_in.receiver import WebhookReceiver
from gateway.webhooks_in.recovery import ConnectedAccounts, EventRecovery
from gateway.webhooks_in.router import EventRouter, merged
from gateway.webhooks_in.upkeep import InboxUpkeep
from gateway.webhooks_in.walk_markers import WalkMarkers
from gateway.webhooks_in.walk_proofs import WalkProofs
from runtime.clock import Clock
from runtime.database import Database
from runtime.draining import Drain
from runtime.durability_watch import DurabilityWatch
from runtime.notifier import Notifier
from runtime.postgres import close_engine, create_engine
from runtime.server import RpcServer


@dataclass(frozen=True, kw_only=True)
class OpenIntake(Part):
    """What others need of the intake."""

    inbox: PostgresInbox
    markers: WalkMarkers


@asynccontextmanager
async def open_intake(
    settings: GatewaySettings,
    engine: AsyncEngine,
    broker: Broker | None,
    clock: Clock,
    durability: DurabilityWatch,
    drain: Drain,
    on_stored: Callable[[ReceivedEvent], None] | None = None,
) -> AsyncIterator[OpenIntake]:
    """The inbox, and before it the buffer of the settings; the role webhooks takes events in."""
    inbox = PostgresInbox(engine, clock, on_stored)
    buffer: Buffer = (
        BrokerBuffer(broker, clock, BrokerWait(drain))
        if broker
        else PostgresBuffer(inbox, clock, durability)
    )
    receiver = WebhookReceiver(settings.corridors, buffer, clock)
    try:
        yield OpenIntake(
            inbox=inbox,
            markers=WalkMarkers(engine),
            http_routes=receiver.routes() if Role.WEBHOOKS in settings.active_roles else (),
        )
    finally:
        await buffer.close()


@asynccontextmanager
async def open_intake_alone(
    settings: GatewaySettings, broker: Broker, clock: Clock
) -> AsyncIterator[RpcServer]:
    """A process that takes webhooks in and does nothing else: it needs the broker alone.

    It has no gRPC service but health and reflection, and starts and works without a database.
    """
    drain = Drain()
    buffer = BrokerBuffer(broker, clock, BrokerWait(drain))
    server = RpcServer(
        settings,
        services=[],
        errors=ERRORS,
        validator=VALIDATOR,
        dependencies={"webhook_buffer": buffer.check},
        http_routes=WebhookReceiver(settings.corridors, buffer, clock).routes(),
        drain=drain,
    )
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        await buffer.close()


@asynccontextmanager
async def open_processing(
    settings: GatewaySettings,
    database: Database,
    intake: OpenIntake,
    broker: Broker | None,
    routes: Iterable[EventRoutes],
    stripe_client: StripeClient,
    connected: ConnectedAccounts,
    clock: Clock,
) -> AsyncIterator[Part]:
    """What the role worker does with events; `routes` say who deals with which."""
    inbox, notifier = intake.inbox, Notifier()
    consumer = WebhookConsumer(
        inbox,
        EventRouter(merged(*routes)),
        clock,
        notifier,
        policy=ConsumerPolicy(handler_seconds=settings.call_seconds, lease=settings.lease),
    )
    loops = [InboxUpkeep(inbox, stripe_client.corridors, clock).loop(), consumer.loop()]
    proofs = WalkProofs(intake.markers, broker)
    recovery = EventRecovery(stripe_client, inbox, intake.markers, proofs, clock, connected)
    async with AsyncExitStack() as stack:
        if broker is not None:
            # A connection of its own, because it keeps it.
            engine = create_engine(
                database, role=DATABASE_ROLE, pool_size=1, application_name="gateway relay"
            )
            stack.push_async_callback(close_engine, engine)
            relay = BrokerRelay(broker, inbox, engine, durability=database.durability)
            loops.append(relay.loop(settings.drain_seconds))
        yield Part(
            worker_loops=loops, leader_tasks=(recovery.loop(),), notifiers={CHANNEL: notifier}
        )
