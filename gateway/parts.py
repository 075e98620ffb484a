"""What the parts of one gateway process share, opened once."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.back_office import BackOffice, open_back_office
from gateway.config import GatewaySettings
from gateway.merchants.store import MerchantStore
from gateway.merchants.sync import MerchantSync
from gateway.payments.asking import Outside
from gateway.payments.claims import RunLimits
from gateway.payments.committer import PaymentCommitter
from gateway.payments.compliance import ComplianceClient
from gateway.payments.connections import commit_connections
from gateway.payments.executor import Executor
from gateway.payments.feed import Feed
from gateway.payments.observing import Timing
from gateway.payments.steps import Steps
from gateway.payments.stripe_events import PaymentEvents
from gateway.payments.wakeups import PaymentNotifiers
from gateway.rails.opening import OpenRails, open_rails
from gateway.webhooks.broker_buffer import BrokerBuffer
from gateway.webhooks.brokers.broker import Broker
from gateway.webhooks.buffer import Buffer
from gateway.webhooks.inbox import PostgresInbox
from gateway.webhooks.postgres_buffer import PostgresBuffer
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
    rails: OpenRails
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
    """Opens the database, the rails and the channel to compliance; the stack closes them."""
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
    rails = await stack.enter_async_context(
        open_rails(
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
        Outside(rails.rails, ComplianceClient(channel, settings.compliance_timeout_seconds)),
        clock,
        notifiers,
        worker_notifier,
        limits=RunLimits(settings.call_seconds, settings.lease),
        timing=timing,
    )
    events = PaymentEvents(engine, rails.rails, steps, notifiers, worker_notifier, timing)
    return Parts(
        settings=settings,
        clock=clock,
        engine=engine,
        url=url,
        rails=rails,
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
        sync=MerchantSync(rails.rails, merchants, clock),
        inbox=inbox,
        broker=broker,
        buffer=buffer,
        events=events,
        back_office=open_back_office(
            settings, engine, rails.rails, channel, events, notifiers, merchants, clock
        ),
    )
