"""What the parts of one gateway process share, opened once."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.back_office import BackOffice, open_back_office
from gateway.config import GatewaySettings
from gateway.customers import operations as customer_operations
from gateway.disputes import operations as dispute_operations
from gateway.disputes.stripe_events import Disputes
from gateway.merchants import operations as merchant_operations
from gateway.merchants.store import MerchantStore
from gateway.merchants.stripe_events import MerchantSync
from gateway.operations.commands import Commands
from gateway.operations.runner import RunLimits, Runner, merged
from gateway.payments import operations as payment_operations
from gateway.payments.api.watch import Feed
from gateway.payments.domain.reconcile import Timing
from gateway.payments.store.group_commit import PaymentCommitter, commit_connections
from gateway.payments.store.snapshot import PaymentWriter
from gateway.payments.stripe.compliance import ComplianceClient
from gateway.payments.stripe.dependencies import Dependencies
from gateway.payments.stripe.events import PaymentEvents
from gateway.payouts import operations as payout_operations
from gateway.payouts.compliance import PayoutCompliance
from gateway.payouts.stripe_events import Payouts
from gateway.stripe_client.wiring import OpenStripeClient, open_stripe_client
from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.buffer import BrokerBuffer, Buffer, PostgresBuffer
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.notifier import Notifier, SubjectNotifiers
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
    notifiers: SubjectNotifiers
    worker_notifier: Notifier
    event_notifier: Notifier
    merchant_notifier: Notifier
    webhook_notifier: Notifier
    booking_notifier: Notifier
    delivery_notifier: Notifier
    feed: Feed
    dependencies: Dependencies
    writer: PaymentWriter
    runner: Runner
    merchants: MerchantStore
    sync: MerchantSync
    inbox: PostgresInbox
    broker: Broker | None
    buffer: Buffer
    events: PaymentEvents
    back_office: BackOffice

    def commands(self, table: Table) -> Commands:
        """What takes requests that begin operations, and keeps them in a table."""
        seconds = self.settings.answer_seconds
        return Commands(self.engine, self.runner, self.clock, seconds, table)


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
    worker_notifier, notifiers = Notifier(), SubjectNotifiers()
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
    writer = PaymentWriter(PaymentCommitter(commits))
    dependencies = Dependencies(
        stripe.client,
        ComplianceClient(channel, settings.compliance_timeout_seconds),
        clock,
        timing,
    )
    events = PaymentEvents(
        engine, stripe.client, dependencies, writer, notifiers, worker_notifier, timing
    )
    disputes = Disputes(engine, stripe.client, events, notifiers, clock)
    payouts = Payouts(engine, stripe.client, merchants, clock)
    kinds = merged(
        payment_operations.kinds(dependencies, writer),
        dispute_operations.kinds(stripe.client, disputes),
        payout_operations.kinds(
            stripe.client,
            payouts,
            PayoutCompliance(channel, settings.compliance_timeout_seconds),
            timing.review_recheck,
        ),
        merchant_operations.kinds(stripe.client),
        customer_operations.kinds(stripe.client),
    )
    limits = RunLimits(settings.call_seconds, settings.lease, settings.worker_concurrency)
    runner = Runner(engine, kinds, clock, limits, notifiers, worker_notifier)
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
        dependencies=dependencies,
        writer=writer,
        runner=runner,
        merchants=merchants,
        sync=MerchantSync(stripe.client, merchants, clock),
        inbox=inbox,
        broker=broker,
        buffer=buffer,
        events=events,
        back_office=open_back_office(
            settings, engine, stripe.client, runner, disputes, payouts, events, merchants, clock
        ),
    )
