"""The composition root: `python -m compliance` serves the compliance guard."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from psycopg.rows import namedtuple_row
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.gateway_source import GatewayAccounts
from compliance.accounts.refreshing import SnapshotRefresher
from compliance.accounts.service import RequirementService
from compliance.checks.checking import Checking
from compliance.checks.decision_log import DecisionLog
from compliance.checks.policy import BUILT_IN
from compliance.checks.service import ComplianceService, DecisionService
from compliance.config import ComplianceSettings
from compliance.errors import ERRORS
from compliance.mutations import Mutations
from compliance.policies.service import PolicyService
from compliance.policies.store import active_policy, ensure_built_in
from compliance.screening.active_lists import ActiveLists
from compliance.screening.loader import ListLoader
from compliance.screening.rescreening import Rescreening
from compliance.screening.service import ScreeningService
from compliance.screening.sources import SdnFileSource
from compliance.subjects.service import SubjectService
from compliance.v1 import (
    compliance_service_pb2,
    compliance_service_pb2_grpc,
    decision_service_pb2,
    decision_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
    requirement_service_pb2,
    requirement_service_pb2_grpc,
    screening_service_pb2,
    screening_service_pb2_grpc,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from compliance.validation import VALIDATOR
from runtime.client import open_channel
from runtime.clock import Clock, SystemClock
from runtime.config import Environment
from runtime.connections import Connections
from runtime.migrations import prepare_database
from runtime.postgres import close_engine, create_engine, ping
from runtime.process import run_service
from runtime.server import RegisteredService, RpcServer

ROLE = "compliance_service"
CHECK_CONNECTIONS = 8
GATEWAY = frozenset({"gateway"})
OPERATOR = frozenset({"operator"})
READERS = GATEWAY | OPERATOR


@asynccontextmanager
async def open_service(
    settings: ComplianceSettings, clock: Clock | None = None
) -> AsyncIterator[RpcServer]:
    """The running service; leaving drains and closes everything."""
    clock = clock or SystemClock()
    url = await prepare_database(settings)
    async with AsyncExitStack() as stack:
        engine = create_engine(
            url, role=ROLE, pool_size=settings.database_pool_size, application_name="compliance"
        )
        stack.push_async_callback(close_engine, engine)
        async with engine.begin() as connection:
            await ensure_built_in(connection, BUILT_IN, clock.now())
            policy = await active_policy(connection)

        accounts = None
        if settings.gateway_address:
            channel = open_channel(
                settings.gateway_address,
                settings,
                idempotent_services=["gateway.v1.MerchantService"],
            )
            stack.push_async_callback(channel.close)
            accounts = GatewayAccounts(channel)
        refresher = SnapshotRefresher(engine, accounts, clock)
        stack.push_async_callback(refresher.close)

        source = SdnFileSource(
            settings.effective_sdn_file,
            clock,
            is_fetched=settings.env is not Environment.SANDBOX,
        )
        lists = ActiveLists(engine, (source.list_name,), policy.match_threshold)
        rescreening = Rescreening(engine, lists, clock)
        loader = ListLoader(engine, {source.list_name: source}, lists, rescreening, clock)
        await lists.refresh()

        decision_log = DecisionLog(url, ROLE, "compliance-decisions")
        connections = Connections(
            url,
            role=ROLE,
            size=CHECK_CONNECTIONS,
            application_name="compliance-checks",
            read_span="compliance.load_facts",
            row_factory=namedtuple_row,
        )
        await connections.open()
        stack.push_async_callback(connections.close)
        checking = Checking(
            engine,
            connections,
            decision_log,
            refresher,
            policy,
            clock,
            settings.snapshot_timeout_seconds,
        )
        mutations = Mutations(engine, clock)

        server = RpcServer(
            settings,
            services=_services(engine, checking, mutations, refresher, lists, loader, clock),
            errors=ERRORS,
            validator=VALIDATOR,
            dependencies={"database": lambda: ping(engine)},
        )

        loading = loader.loop(settings.list_interval_seconds)
        # Waited for, so that a new service knows its list; its failing is an alarm and stops no
        # start.
        await loading.attempt()
        await stack.enter_async_context(
            server.supervisor.running(
                decision_log.loop(),
                loading,
                rescreening.loop(settings.screening_interval_seconds),
                refresher.loop(settings.snapshot_interval_seconds),
            )
        )
        stack.push_async_callback(server.stop)
        await server.start()
        yield server


def _services(
    engine: AsyncEngine,
    checking: Checking,
    mutations: Mutations,
    refresher: SnapshotRefresher,
    lists: ActiveLists,
    loader: ListLoader,
    clock: Clock,
) -> list[RegisteredService]:
    def registered(
        add: Callable[[Any, Any], None], servicer: object, module: Any, clients: frozenset[str]
    ) -> RegisteredService:
        (descriptor,) = module.DESCRIPTOR.services_by_name.values()
        return RegisteredService(
            add=add, servicer=servicer, descriptor=descriptor, allowed_clients={"*": clients}
        )

    return [
        registered(
            compliance_service_pb2_grpc.add_ComplianceServiceServicer_to_server,
            ComplianceService(checking),
            compliance_service_pb2,
            GATEWAY,
        ),
        registered(
            decision_service_pb2_grpc.add_DecisionServiceServicer_to_server,
            DecisionService(engine),
            decision_service_pb2,
            READERS,
        ),
        registered(
            policy_service_pb2_grpc.add_PolicyServiceServicer_to_server,
            PolicyService(engine),
            policy_service_pb2,
            OPERATOR,
        ),
        registered(
            requirement_service_pb2_grpc.add_RequirementServiceServicer_to_server,
            RequirementService(engine, refresher),
            requirement_service_pb2,
            READERS,
        ),
        registered(
            screening_service_pb2_grpc.add_ScreeningServiceServicer_to_server,
            ScreeningService(engine, mutations, lists, loader, clock),
            screening_service_pb2,
            OPERATOR,
        ),
        registered(
            subject_service_pb2_grpc.add_SubjectServiceServicer_to_server,
            SubjectService(engine, mutations, lists, clock),
            subject_service_pb2,
            READERS,
        ),
    ]


def main() -> None:
    run_service(ComplianceSettings, open_service)


if __name__ == "__main__":
    main()
