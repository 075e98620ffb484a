"""What the parts of one gateway process share, opened once."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.back_office import BackOffice, open_back_office
from gateway.config import GatewaySettings
from gateway.merchants.store import MerchantStore
from gateway.merchants.stripe_events import MerchantSync
from gateway.payments.api.watch import Feed
from gateway.payments.domain.reconcile import Timing
from gateway.payments.running import Executor
from gateway.payments.steps import RunLimits, Steps
from gateway.payments.store.group_commit import PaymentCommitter, commit_connections
from gateway.payments.stripe.compliance import ComplianceClient
from gateway.payments.stripe.dependencies import Dependencies
from gateway.payments.stripe.events import PaymentEvents
from gateway.payments.waiting import PaymentNotifiers
from gateway.stripe_client.wiring import OpenStripeClient, open_stripe_client
from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.buffer import BrokerBuffer, Buffer, PostgresBuffer
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.notifications import Notifier
from runtime.postgres import close_engine, create_engine

DATABASE_ROLE = "gateway_service"


@dataclass(frozen=True)
class Parts:
    """What the parts of one process share."""

    settings: GatewaySettings
    clock: Clock
    engine: AsyncEngine
    url: str
    stripe: OpenStripeClient
    timing: Timing
    notifiers: PaymentNotifiers
    worker_notifier: Notifier
    event_notifier: Notifier
    merchant_notifier: Notifier
    webhook_notifier: Notifier
    booking_notifier: Notifier
    delivery_notifier: Notifier
    feed: Feed
    back_office_notifier: Notifier
    steps: Steps
    executor: Executor
    merchants: MerchantStore
    sync: MerchantSync
    inbox: PostgresInbox
    broker: Broker | None
    buffer: Buffer
    events: PaymentEvents
    back_office: BackOffice


async def open_parts(
    settings: GatewaySettings, clock: Clock, url: str, broker: Broker | None, stack: AsyncExitStack
) -> Parts:
    """Opens the database, the Stripe client, the channel to compliance; the stack closes them."""
    engine = create_engine(
        url,
        role=DATABASE_ROLE,
        pool_size=settings.database_pool_size,
        application_name="gateway",
    )
    stack.push_async_callback(close_engine, engine)
    commits = commit_connections(url, DATABASE_ROLE)
    await commits.open()
    stack.push_async_callback(commits.close)
    worker_notifier, notifiers = Notifier(), PaymentNotifiers()
    stripe = await stack.enter_async_context(
        open_stripe_client(
            settings.corridors,
            engine,
            machine_group=settings.machine_group,
            on_change=lambda _corridor: worker_notifier.notify(),
        )
    )
    channel = open_channel(
        settings.compliance_address,
        settings,
        idempotent_services=["compliance.v1.ComplianceService"],
    )
    stack.push_async_callback(channel.close)
    timing = Timing(
        action=timedelta(hours=settings.action_hours),
        review=timedelta(hours=settings.review_hours),
        review_recheck=timedelta(seconds=settings.review_recheck_seconds),
    )
    merchants = MerchantStore(engine, clock)
    inbox = PostgresInbox(engine, clock)
    buffer: Buffer = BrokerBuffer(broker, clock) if broker else PostgresBuffer(inbox, clock)
    stack.push_async_callback(buffer.close)
    committer = PaymentCommitter(commits)
    steps = Steps(
        engine,
        committer,
        Dependencies(stripe.client, ComplianceClient(channel, settings.compliance_timeout_seconds)),
        clock,
        notifiers,
        worker_notifier,
        limits=RunLimits(settings.call_seconds, settings.lease),
        timing=timing,
    )
    events = PaymentEvents(engine, stripe.client, steps, notifiers, worker_notifier, timing)
    return Parts(
        settings=settings,
        clock=clock,
        engine=engine,
        url=url,
        stripe=stripe,
        timing=timing,
        notifiers=notifiers,
        worker_notifier=worker_notifier,
        event_notifier=Notifier(),
        merchant_notifier=Notifier(),
        webhook_notifier=Notifier(),
        booking_notifier=Notifier(),
        delivery_notifier=Notifier(),
        feed=Feed(engine),
        back_office_notifier=Notifier(),
        steps=steps,
        executor=Executor(steps, committer),
        merchants=merchants,
        sync=MerchantSync(stripe.client, merchants, clock),
        inbox=inbox,
        broker=broker,
        buffer=buffer,
        events=events,
        back_office=open_back_office(
            settings, engine, stripe.client, channel, events, notifiers, merchants, clock
        ),
    )
