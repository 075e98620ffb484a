"""The gateway service: `python -m gateway`. Every part of a process is opened here, in this order;
each package's `wiring.py` says what is in it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.balance.wiring import open_balance, open_balance_transactions
from gateway.billing.wiring import open_billing
from gateway.bookkeeping.wiring import REBOOK, open_bookkeeping
from gateway.config import DATABASE_ROLE, GatewaySettings, Role
from gateway.customers.wiring import open_customers
from gateway.disputes.wiring import open_disputes
from gateway.errors import ERRORS
from gateway.foresight_service.page import FORESIGHT_RECORD
from gateway.foresight_service.wiring import open_evidence, open_foresight
from gateway.gauges.wiring import open_gauges
from gateway.identity import RequestIdentity
from gateway.leadership.wiring import open_leadership
from gateway.limits import LIMITS, Limits
from gateway.merchant_scope import MerchantScope
from gateway.merchants.wiring import open_merchants
from gateway.operations.wiring import open_operations
from gateway.operator_acts import open_operator_acts
from gateway.part import Part
from gateway.payments.store.history import PastPayments
from gateway.payments.wiring import open_payments, timing_of
from gateway.payouts.wiring import open_payouts
from gateway.recovery.command import RECOVER
from gateway.recovery.wiring import open_guard, open_hold_check
from gateway.reports.wiring import open_reports
from gateway.reviews.wiring import open_reviews
from gateway.routing_service.wiring import open_routing
from gateway.sigma.wiring import open_sigma
from gateway.stripe_client.wiring import open_corridors, open_stripe_client
from gateway.validation import VALIDATOR
from gateway.verifications.wiring import open_verifications
from gateway.webhooks_in.opening import open_broker
from gateway.webhooks_in.wiring import open_intake, open_intake_alone, open_processing
from gateway.webhooks_out.wiring import open_webhooks_out
from runtime.acts import open_act_log
from runtime.client import open_channel
from runtime.clock import Clock, SystemClock
from runtime.database import Database
from runtime.draining import Drain
from runtime.durability_watch import DurabilityWatch
from runtime.idempotency import RequestIds
from runtime.migrations import prepare_database
from runtime.notifications import Listener
from runtime.notifier import Notifier
from runtime.postgres import close_engine, create_engine
from runtime.process import run_service
from runtime.server import RpcServer


@asynccontextmanager
async def open_service(
    settings: GatewaySettings, clock: Clock | None = None, limits: Limits = LIMITS
) -> AsyncIterator[RpcServer]:
    """Serves; on exit drains: callers first, then loops, then what they have begun,
    then connections."""
    clock = clock or SystemClock()
    broker = open_broker(settings)
    if broker is not None and settings.active_roles == {Role.WEBHOOKS}:
        async with open_intake_alone(settings, broker, clock) as server:
            yield server
        return
    durability = DurabilityWatch(required=settings.require_synchronous)
    database = Database(await prepare_database(settings), settings.database_limits, durability)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool_size = settings.database_pool_size
        engine = create_engine(
            database, role=DATABASE_ROLE, pool_size=pool_size, application_name="gateway"
        )
        stack.push_async_callback(close_engine, engine)
        acts = await enter(open_act_log(database, DATABASE_ROLE, clock))
        compliance = open_channel(
            settings.compliance_address,
            settings,
            idempotent_services=["compliance.v1.ComplianceService"],
        )
        stack.push_async_callback(compliance.close)

        # Of every process: the load balancer decides which calls it gets.
        worker_notifier = Notifier()
        request_ids = RequestIds(ERRORS, VALIDATOR)
        identity = RequestIdentity(settings.deployment)
        evidence = open_evidence(settings, clock)
        stripe = await enter(
            open_stripe_client(
                settings.corridors,
                engine,
                machine_group=settings.machine_group,
                on_change=lambda _corridor: worker_notifier.notify(),
                observer=evidence,
            )
        )
        restored = await open_guard(engine, stripe.client, identity, clock, durability)
        guard = restored.guard
        foresight = open_foresight(settings, engine, stripe, evidence, guard, clock, limits)
        on_stored = None if evidence is None else evidence.webhook_stored
        drain = Drain()
        taken_in = settings, engine, broker, clock, durability, drain, on_stored
        intake = await enter(open_intake(*taken_in))
        corridors = open_corridors(engine, stripe, intake.inbox, request_ids, clock)
        operations = open_operations(
            settings, engine, request_ids, identity, guard, worker_notifier, clock, durability
        )
        past = PastPayments(engine)
        routed = settings, engine, stripe.client, request_ids, guard, past, clock
        routing = await open_routing(*routed, foresight.discounts.discount, limits)
        payments = await enter(
            open_payments(
                settings,
                database,
                engine,
                stripe.client,
                compliance,
                operations,
                guard,
                clock,
                limits,
                past,
                routing.router,
            )
        )
        merchants = open_merchants(engine, stripe.client, operations, guard, clock)
        customers = open_customers(engine, stripe.client, operations, guard, clock)
        disputes = open_disputes(engine, stripe.client, payments, operations, clock)
        payouts = open_payouts(
            settings, engine, stripe.client, compliance, merchants.store, operations, guard, clock
        )
        verifications = open_verifications(
            engine, stripe.client, merchants.store, operations, guard, clock
        )
        webhooks_out = open_webhooks_out(
            settings,
            engine,
            request_ids,
            identity,
            payments.event_notifier,
            [foresight.webhook_feed],
            clock,
            limits,
        )
        parts: list[Part] = [stripe, restored, intake, corridors, operations, routing, payments]
        parts.append(merchants)
        reviews = open_reviews(settings, engine, compliance, operations, clock)
        parts += [customers, disputes, payouts, reviews, verifications, webhooks_out]
        parts.append(open_balance_transactions(engine, guard, clock))
        parts.append(open_billing(settings, engine, stripe.client, guard, clock))
        parts.append(open_reports(settings, engine, stripe.client, clock))
        parts.append(open_sigma(settings, engine, stripe.client, guard, clock))
        parts.append(foresight)
        parts.append(Part(services=[open_operator_acts(acts)]))

        is_worker = Role.WORKER in settings.active_roles
        if is_worker:
            routes = [part.event_routes for part in parts]
            takers = payments.events, disputes.disputes, payouts.payouts
            connected = merchants.store.accounts_after
            processing = open_processing(
                settings, database, intake, broker, routes, stripe.client, connected, clock
            )
            books = await enter(open_bookkeeping(settings, engine, clock))
            swept = settings, engine, stripe.client, *takers, books.ledger_log, clock, limits
            parts += [await enter(processing), await open_balance(*swept), books]
            checked = engine, stripe.client, books.ledger_log, guard, clock, timing_of(settings)
            parts.append(open_hold_check(*checked))
            parts.append(open_gauges(engine, stripe.client.corridors, clock))

        server = RpcServer(
            settings,
            services=[service for part in parts for service in part.services],
            errors=ERRORS,
            validator=VALIDATOR,
            dependencies={"database": database.check},
            changed=database.changed,
            acts=acts,
            durability=durability,
            drain=drain,
            bounds=MerchantScope(engine, guard),
            http_routes=[route for part in parts for route in part.http_routes],
        )
        for part in parts:
            for finish in part.drains:
                stack.push_async_callback(finish, settings.drain_seconds)
        notifiers = {name: one for part in parts for name, one in part.notifiers.items()}
        listener = Listener(
            database, role=DATABASE_ROLE, notifiers=notifiers, name="gateway listener"
        )
        loops = [database.loop(), listener.loop(), *(loop for part in parts for loop in part.loops)]
        if is_worker:
            loops += [loop for part in parts for loop in part.worker_loops]
            tasks = [task for part in parts for task in part.leader_tasks]
            loops.append(await enter(open_leadership(database, server.supervisor, tasks, clock)))
        # They are many, and most have nothing to do.
        server.supervisor.in_turn = True
        await enter(server.supervisor.running(*loops))
        stack.push_async_callback(server.stop)
        await server.start()
        yield server


def main() -> None:
    """Runs the service until it is told to stop."""
    run_service(GatewaySettings, open_service, commands=[REBOOK, RECOVER, FORESIGHT_RECORD])


if __name__ == "__main__":
    main()
