"""The gateway service: `python -m gateway`. The composition root: nothing else constructs."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from gateway.background import Loop, running
from gateway.bookkeeping.reporting import CHANNEL as BOOKING_CHANNEL
from gateway.bookkeeping.wiring import keeping_books
from gateway.carrying import carrying, open_intake
from gateway.config import GatewaySettings, Role
from gateway.customers.service import CustomerServicer
from gateway.customers.store import CustomerStore
from gateway.errors import ERRORS
from gateway.leadership.leader_tasks import LeaderTask, LeaderTaskRunner
from gateway.leadership.rounds import run_rounds
from gateway.merchants.service import MerchantServicer
from gateway.merchants.store import CHANNEL as MERCHANT_CHANNEL
from gateway.merchants.stripe_events import MerchantEvents
from gateway.operations.requests import CUSTOMER_REQUEST, MERCHANT_REQUEST
from gateway.operations.store import CHANNEL as OPERATION_CHANNEL
from gateway.parts import DATABASE_ROLE, Parts, open_parts
from gateway.payments.api.reading import PaymentReader
from gateway.payments.api.service import PaymentServicer
from gateway.payments.commands import Payments
from gateway.payments.deadlines import Deadlines
from gateway.payments.queue import PaymentQueue
from gateway.payments.store.events import Numbering
from gateway.payments.store.schema import EVENT_CHANNEL
from gateway.payments.waiting import Patience
from gateway.posting import dispatch_tasks, sending, webhook_endpoint_servicer
from gateway.stripe_client.service import CorridorServicer
from gateway.stripe_client.store import BREAKER_CHANNEL
from gateway.v1 import (
    corridor_service_pb2,
    corridor_service_pb2_grpc,
    customer_service_pb2,
    customer_service_pb2_grpc,
    dispute_service_pb2,
    dispute_service_pb2_grpc,
    merchant_service_pb2,
    merchant_service_pb2_grpc,
    payment_service_pb2,
    payment_service_pb2_grpc,
    payout_service_pb2,
    payout_service_pb2_grpc,
    webhook_endpoint_service_pb2,
    webhook_endpoint_service_pb2_grpc,
)
from gateway.validation import VALIDATOR
from gateway.webhooks_in.consumer import ConsumerPolicy, WebhookConsumer
from gateway.webhooks_in.inbox import CHANNEL as WEBHOOK_CHANNEL
from gateway.webhooks_in.opening import open_broker
from gateway.webhooks_in.receiver import WebhookReceiver
from gateway.webhooks_in.recovery import EventRecovery
from gateway.webhooks_in.router import EventRouter, merged
from gateway.webhooks_in.upkeep import InboxUpkeep
from gateway.webhooks_out.store import DELIVERY_CHANNEL
from runtime.clock import Clock, SystemClock
from runtime.migrations import prepare_database
from runtime.notifications import Listener, Notifier, Subscription
from runtime.postgres import close_engine, create_engine, ping
from runtime.process import run_service
from runtime.server import RegisteredService, RpcServer

# Changes made by other processes get their place in the stream this soon, at the latest.
NUMBER_POLL_SECONDS = 0.25
WORK_POLL_SECONDS = 1.0
# Who may call what, by the name in the client's certificate; plain-text loopback knows no names.
PAYMENT_CLIENTS = {"*": {"client", "operator"}}
MERCHANT_CLIENTS = {"*": {"client", "compliance", "operator"}}
CORRIDOR_CLIENTS = {"*": {"operator"}}


@asynccontextmanager
async def open_service(
    settings: GatewaySettings, clock: Clock | None = None
) -> AsyncIterator[RpcServer]:
    """Serves; on exit drains: callers first, then operations, then connections."""
    clock = clock or SystemClock()
    broker = open_broker(settings)
    if broker is not None and settings.active_roles == {Role.WEBHOOKS}:
        async with open_intake(settings, broker, clock) as server:
            yield server
        return
    url = await prepare_database(settings)
    async with AsyncExitStack() as stack:
        parts = await open_parts(settings, clock, url, broker, stack)
        server = RpcServer(
            settings,
            services=_services(parts),
            errors=ERRORS,
            validator=VALIDATOR,
            dependencies={"database": lambda: ping(parts.engine)},
            http_routes=_routes(parts),
        )
        stack.push_async_callback(parts.runner.drain, settings.drain_seconds)
        feed = run_rounds("feed", parts.feed.round, parts.event_notifier, WORK_POLL_SECONDS)
        work = [parts.stripe.modes.run(), parts.stripe.breakers.run(), _listener(parts).run(), feed]
        if Role.WORKER in settings.active_roles:
            await parts.back_office.sweep.prepare()
            work += _worker(parts)
            work.append(await stack.enter_async_context(sending(parts)))
            election = create_engine(
                url, role=DATABASE_ROLE, pool_size=1, application_name="gateway leadership"
            )
            stack.push_async_callback(close_engine, election)
            work.append(LeaderTaskRunner(election, list(_leader_tasks(parts)), clock).run())
            await stack.enter_async_context(keeping_books(parts))
            await stack.enter_async_context(carrying(parts))
        await stack.enter_async_context(running(work))
        stack.push_async_callback(server.stop)
        await server.start()
        yield server


def _services(parts: Parts) -> list[RegisteredService]:
    """The gRPC services of a process. Every role has them: the load balancer decides."""
    payments = Payments(
        parts.engine,
        parts.runner,
        parts.writer,
        parts.dependencies,
        Patience(
            parts.engine,
            parts.notifiers,
            parts.settings.answer_seconds,
            parts.settings.slow_answer_seconds,
            parts.stripe.client.is_slow,
        ),
        parts.clock,
        max_queue_length=parts.settings.max_queue_length,
    )
    stripe = parts.stripe
    servicers: list[tuple[Any, Any, str, Any, Mapping[str, Collection[str]]]] = [
        (
            payment_service_pb2,
            payment_service_pb2_grpc,
            "PaymentService",
            PaymentServicer(
                payments,
                PaymentReader(parts.engine),
                parts.engine,
                stripe.client,
                parts.feed,
                parts.clock,
            ),
            PAYMENT_CLIENTS,
        ),
        (
            merchant_service_pb2,
            merchant_service_pb2_grpc,
            "MerchantService",
            MerchantServicer(
                stripe.client,
                parts.merchants,
                parts.commands(MERCHANT_REQUEST),
                parts.sync,
                parts.merchant_notifier,
                parts.clock,
            ),
            MERCHANT_CLIENTS,
        ),
        (
            customer_service_pb2,
            customer_service_pb2_grpc,
            "CustomerService",
            CustomerServicer(
                stripe.client,
                CustomerStore(parts.engine),
                parts.commands(CUSTOMER_REQUEST),
            ),
            PAYMENT_CLIENTS,
        ),
        (
            webhook_endpoint_service_pb2,
            webhook_endpoint_service_pb2_grpc,
            "WebhookEndpointService",
            webhook_endpoint_servicer(parts),
            PAYMENT_CLIENTS,
        ),
        (
            corridor_service_pb2,
            corridor_service_pb2_grpc,
            "CorridorService",
            CorridorServicer(stripe.calls, stripe.modes, parts.inbox, parts.clock),
            CORRIDOR_CLIENTS,
        ),
        (
            dispute_service_pb2,
            dispute_service_pb2_grpc,
            "DisputeService",
            parts.back_office.dispute_servicer,
            PAYMENT_CLIENTS,
        ),
        (
            payout_service_pb2,
            payout_service_pb2_grpc,
            "PayoutService",
            parts.back_office.payout_servicer,
            PAYMENT_CLIENTS,
        ),
    ]
    return [
        RegisteredService(
            add=getattr(stubs, f"add_{name}Servicer_to_server"),
            servicer=servicer,
            descriptor=module.DESCRIPTOR.services_by_name[name],
            allowed_clients=clients,
        )
        for module, stubs, name, servicer, clients in servicers
    ]


def _routes(parts: Parts) -> list[web.AbstractRouteDef]:
    if Role.WEBHOOKS not in parts.settings.active_roles:
        return []
    return WebhookReceiver(parts.settings.corridors, parts.buffer, parts.clock).routes()


def _listener(parts: Parts) -> Listener:
    """What other processes of the gateway have done, told by the database."""
    notifiers = {
        OPERATION_CHANNEL: parts.worker_notifier,
        EVENT_CHANNEL: parts.event_notifier,
        MERCHANT_CHANNEL: parts.merchant_notifier,
        WEBHOOK_CHANNEL: parts.webhook_notifier,
        BOOKING_CHANNEL: parts.booking_notifier,
        DELIVERY_CHANNEL: parts.delivery_notifier,
        BREAKER_CHANNEL: parts.stripe.breakers.notifier,
    }
    return Listener(parts.url, role=DATABASE_ROLE, notifiers=notifiers, name="gateway listener")


def _worker(parts: Parts) -> Iterator[Loop]:
    """The loops of a process with the role worker."""
    settings, notifier = parts.settings, parts.worker_notifier
    yield run_rounds("operations", parts.runner.round, notifier, WORK_POLL_SECONDS)
    numbering = Numbering(parts.engine)
    yield run_rounds("numbering", numbering.round, parts.notifiers.any, NUMBER_POLL_SECONDS)
    yield InboxUpkeep(parts.inbox, parts.stripe.client.corridors, parts.clock).run()
    router = EventRouter(
        merged(
            parts.events.routes(),
            MerchantEvents(parts.merchants, parts.sync).routes(),
            *parts.back_office.routes(),
        )
    )
    wake = Subscription(parts.webhook_notifier)
    policy = ConsumerPolicy(handler_seconds=settings.call_seconds, lease=settings.lease)
    yield WebhookConsumer(parts.inbox, router, parts.clock, wake, policy=policy).run()


def _leader_tasks(parts: Parts) -> Iterator[LeaderTask]:
    """What one worker of all does; the others stand by."""
    notifier = parts.worker_notifier
    stripe_client, lease = parts.stripe.client, parts.settings.lease
    queue = PaymentQueue(parts.engine, parts.runner, stripe_client, parts.clock, lease=lease)
    yield LeaderTask("queue", lambda: run_rounds("queue", queue.round, notifier, WORK_POLL_SECONDS))
    deadlines = Deadlines(parts.engine, parts.clock, parts.notifiers, notifier)
    yield LeaderTask(
        "deadlines", lambda: run_rounds("deadlines", deadlines.round, notifier, WORK_POLL_SECONDS)
    )
    yield from dispatch_tasks(parts)
    recovery = EventRecovery(
        stripe_client, parts.inbox, parts.clock, parts.merchants.accounts_after
    )
    yield LeaderTask("event recovery", recovery.run)
    sweep = parts.back_office.sweep
    yield LeaderTask(
        "balance sweep",
        lambda: run_rounds("balance sweep", sweep.round, Notifier(), WORK_POLL_SECONDS),
    )


def main() -> None:
    """Runs the service until it is told to stop."""
    run_service(GatewaySettings, open_service)


if __name__ == "__main__":
    main()
