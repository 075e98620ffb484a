"""Payments in one process: taking them, going on with them, ending them, telling of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import DATABASE_ROLE, GatewaySettings
from gateway.limits import Limits
from gateway.operations.gate import LossGuard
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.payments import operations as payment_operations
from gateway.payments.api.reading import PaymentReader
from gateway.payments.api.service import PaymentServicer
from gateway.payments.api.watch import Feed
from gateway.payments.commands import Payments
from gateway.payments.deadlines import Deadlines
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.routing import Router
from gateway.payments.looks import ProcessingLooks
from gateway.payments.queue import PaymentQueue
from gateway.payments.store.events import Numbering
from gateway.payments.store.group_commit import PaymentCommitter, commit_connections
from gateway.payments.store.history import PastPayments
from gateway.payments.store.schema import EVENT_CHANNEL
from gateway.payments.store.snapshot import PaymentWriter
from gateway.payments.stripe.compliance import ComplianceClient
from gateway.payments.stripe.dependencies import Dependencies
from gateway.payments.stripe.events import PaymentEvents
from gateway.payments.stripe.three_d_secure import ThreeDSecureRules
from gateway.payments.stripe.unchecked import UncheckedPayments
from gateway.payments.waiting import Patience
from gateway.stripe_client.client import StripeClient
from gateway.v1 import payment_service_pb2, payment_service_pb2_grpc
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.database import Database
from runtime.loops import Loop, Round
from runtime.notifier import Notifier
from runtime.server import registered

POLL_SECONDS = 1.0
# Changes made by other processes get their place in the stream this soon, at the latest.
NUMBER_POLL_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class OpenPayments(Part):
    """What others need of payments."""

    events: PaymentEvents
    # Notified of new events of the stream.
    event_notifier: Notifier


@asynccontextmanager
async def open_payments(
    settings: GatewaySettings,
    database: Database,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    compliance: grpc.aio.Channel,
    operations: OpenOperations,
    guard: LossGuard,
    clock: Clock,
    limits: Limits,
    past: PastPayments,
    router: Router | None = None,
) -> AsyncIterator[OpenPayments]:
    """Opens the connections that payments are committed on. Without a `router` the operators' rules
    alone say where a payment is charged."""
    commits = commit_connections(database, DATABASE_ROLE)
    try:
        yield _part(
            settings,
            engine,
            commits,
            stripe_client,
            compliance,
            operations,
            guard,
            clock,
            limits,
            past,
            router,
        )
    finally:
        await commits.close()


def timing_of(settings: GatewaySettings) -> Timing:
    """How long the states that end by time may last."""
    return Timing(
        action=timedelta(hours=settings.action_hours),
        review=timedelta(hours=settings.review_hours),
        review_recheck=timedelta(seconds=settings.review_recheck_seconds),
    )


def _part(
    settings: GatewaySettings,
    engine: AsyncEngine,
    commits: Connections,
    stripe_client: StripeClient,
    compliance: grpc.aio.Channel,
    operations: OpenOperations,
    guard: LossGuard,
    clock: Clock,
    limits: Limits,
    past: PastPayments,
    router: Router | None,
) -> OpenPayments:
    runner, subjects = operations.runner, operations.subjects
    worker_notifier, event_notifier = operations.worker_notifier, Notifier()
    timing = timing_of(settings)
    writer = PaymentWriter(PaymentCommitter(commits))
    dependencies = Dependencies(
        guard,
        stripe_client,
        ComplianceClient(compliance, settings.compliance_timeout_seconds),
        UncheckedPayments(engine, settings.unchecked_up_to, clock),
        ThreeDSecureRules(past, settings.three_d_secure_rules, clock),
        clock,
        timing,
        router=router,
    )
    operations.register(payment_operations.kinds(dependencies, writer))
    queue = PaymentQueue(engine, runner, stripe_client, guard, clock, lease=settings.lease)
    deadlines = Deadlines(engine, clock, subjects, worker_notifier, guard)
    patience = Patience(
        engine,
        subjects,
        settings.answer_seconds,
        settings.slow_answer_seconds,
        stripe_client.is_slow,
        limits.answer_reserve_seconds,
    )
    payments = Payments(
        engine,
        runner,
        writer,
        dependencies,
        patience,
        operations.identity,
        guard,
        clock,
        max_queue_length=settings.max_queue_length,
        router=router,
    )
    feed = Feed(engine, limits)
    servicer = PaymentServicer(
        payments,
        PaymentReader(engine, guard),
        engine,
        stripe_client,
        feed,
        operations.request_ids,
        operations.identity,
        clock,
    )
    events = PaymentEvents(
        engine,
        stripe_client,
        dependencies.context,
        writer,
        subjects,
        worker_notifier,
        timing,
        guard,
    )
    looks = ProcessingLooks(engine, stripe_client, events, dependencies.context, guard)

    def woken(name: str, work: Round, notifier: Notifier = worker_notifier) -> Loop:
        return Loop(name, work, notifier=notifier, poll_seconds=POLL_SECONDS)

    return OpenPayments(
        events=events,
        event_notifier=event_notifier,
        services=(registered(payment_service_pb2, payment_service_pb2_grpc, servicer),),
        loops=(woken("feed", feed.round, event_notifier),),
        worker_loops=(
            Loop(
                "numbering",
                Numbering(engine, guard).round,
                notifier=subjects.any,
                poll_seconds=NUMBER_POLL_SECONDS,
            ),
        ),
        leader_tasks=(
            woken("queue", queue.round),
            woken("deadlines", deadlines.round),
            Loop("processing looks", looks.round, poll_seconds=POLL_SECONDS),
        ),
        event_routes=events.routes(),
        notifiers={EVENT_CHANNEL: event_notifier},
    )
