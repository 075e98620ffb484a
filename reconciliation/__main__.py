"""The reconciliation service: `python -m reconciliation`. Every part of a process is opened here,
in this order; a package's `wiring.py` says what is in it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from reconciliation.adjusting.wiring import open_adjusting
from reconciliation.alerting.wiring import open_alerting
from reconciliation.bank.completeness import StatementCompleteness
from reconciliation.bank.wiring import open_bank
from reconciliation.breaks.wiring import open_breaks
from reconciliation.closing.wiring import open_closing
from reconciliation.config import ReconciliationSettings
from reconciliation.errors import ERRORS
from reconciliation.fees.wiring import open_fees
from reconciliation.liquidity.wiring import open_liquidity
from reconciliation.operator_acts import open_operator_acts
from reconciliation.part import DATABASE_ROLE, Part
from reconciliation.reports.wiring import open_reports
from reconciliation.sources.wiring import open_sources
from reconciliation.tables import MUTATION
from reconciliation.validation import VALIDATOR
from runtime.acts import open_act_log
from runtime.clock import Clock, SystemClock
from runtime.database import Database
from runtime.durability_watch import DurabilityWatch
from runtime.idempotency import RequestIds
from runtime.migrations import prepare_database
from runtime.mutations import Mutations
from runtime.notifier import Notifier
from runtime.postgres import close_engine, create_engine
from runtime.process import run_service
from runtime.server import RpcServer


@asynccontextmanager
async def open_service(
    settings: ReconciliationSettings, clock: Clock | None = None
) -> AsyncIterator[RpcServer]:
    """The running service; leaving drains and closes everything."""
    clock = clock or SystemClock()
    durability = DurabilityWatch(required=settings.require_synchronous)
    database = Database(await prepare_database(settings), settings.database_limits, durability)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        engine = create_engine(
            database,
            role=DATABASE_ROLE,
            pool_size=settings.database_pool_size,
            application_name="reconciliation",
        )
        stack.push_async_callback(close_engine, engine)
        mutations = Mutations(engine, MUTATION, RequestIds(ERRORS, VALIDATOR), clock)
        acts = await enter(open_act_log(database, DATABASE_ROLE, clock))

        new_items = Notifier()
        sources = await open_sources(stack, settings, engine, new_items, clock)
        breaks = open_breaks(settings, database, engine, mutations, new_items, clock)
        bank = await open_bank(stack, settings, database, engine, mutations, new_items, clock)
        liquidity = open_liquidity(engine, settings.bank_accounts, clock)
        fees = open_fees(settings, engine, clock)
        reports = await open_reports(stack, settings, engine, clock)
        closing = await open_closing(
            stack,
            settings,
            engine,
            mutations,
            clock,
            others=[StatementCompleteness(engine, settings.bank_accounts)],
        )
        adjusting = await open_adjusting(stack, settings, engine, mutations, clock)
        alerting = open_alerting(settings, engine, clock)
        act_log = Part(services=(open_operator_acts(acts),))
        parts = (
            *(breaks, bank, sources, fees, reports, liquidity),
            *(closing, adjusting, alerting, act_log),
        )

        server = RpcServer(
            settings,
            services=[service for part in parts for service in part.services],
            errors=ERRORS,
            validator=VALIDATOR,
            dependencies={"database": database.check},
            changed=database.changed,
            acts=acts,
            durability=durability,
        )
        loops = [database.loop(), *(loop for part in parts for loop in part.loops)]
        await enter(server.supervisor.running(*loops))
        stack.push_async_callback(server.stop)
        await server.start()
        yield server


def main() -> None:
    """Runs the service until it is told to stop."""
    run_service(ReconciliationSettings, open_service)


if __name__ == "__main__":
    main()
