"""The compliance service: `python -m compliance`. Every part of a process is opened here, in this
order; each package's `wiring.py` says what is in it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from compliance.accounts.wiring import open_accounts
from compliance.cases.keeping import CaseKeeping
from compliance.cases.wiring import open_cases
from compliance.checks.wiring import open_checks
from compliance.collection.wiring import open_collection
from compliance.config import ComplianceSettings
from compliance.documents.wiring import open_documents
from compliance.errors import ERRORS
from compliance.evidence_news import EvidenceNews
from compliance.forecast.wiring import open_forecasts
from compliance.mutations import open_mutations
from compliance.operator_acts import open_operator_acts
from compliance.outcomes.wiring import open_outcomes
from compliance.part import DATABASE_ROLE, Part
from compliance.policies.wiring import open_policies
from compliance.screening.wiring import open_screening
from compliance.subjects.service import SubjectService
from compliance.v1 import (
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from compliance.validation import VALIDATOR
from compliance.verifications.wiring import open_verifications
from runtime.acts import open_act_log
from runtime.clock import Clock, SystemClock
from runtime.database import Database
from runtime.durability_watch import DurabilityWatch
from runtime.migrations import prepare_database
from runtime.postgres import close_engine, create_engine
from runtime.process import run_service
from runtime.server import RpcServer, registered


@asynccontextmanager
async def open_service(
    settings: ComplianceSettings, clock: Clock | None = None
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
            application_name="compliance",
        )
        stack.push_async_callback(close_engine, engine)
        mutations, news = open_mutations(engine, clock), EvidenceNews()
        acts = await enter(open_act_log(database, DATABASE_ROLE, clock))

        policies = await open_policies(engine, mutations, clock)
        in_force = policies.in_force
        match_threshold = in_force.policy.match_threshold
        accounts = await enter(open_accounts(settings, engine, mutations, news, clock))
        screening = await open_screening(settings, engine, mutations, match_threshold, news, clock)
        keeping = CaseKeeping(settings.case_open_for, clock)
        checks = await enter(
            open_checks(settings, database, engine, accounts.refresher, in_force, keeping, clock)
        )
        cases = await enter(
            open_cases(settings, database, engine, mutations, keeping, in_force, news, clock)
        )
        forecasts = open_forecasts(settings, engine, accounts.refresher, clock)
        collection = open_collection(settings, engine, forecasts.forecasting, clock)
        outcomes = open_outcomes(engine, accounts.gateway, clock)
        documents = open_documents(settings, engine, mutations, accounts.gateway, clock)
        verifications = open_verifications(engine, mutations, accounts.gateway, news)
        subjects = SubjectService(engine, mutations, screening.lists, clock, news)
        others = Part(
            services=(
                registered(subject_service_pb2, subject_service_pb2_grpc, subjects),
                open_operator_acts(acts),
            )
        )
        parts = (
            *(policies, accounts, screening, checks, cases, forecasts),
            *(collection, documents, verifications, outcomes, others),
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
    run_service(ComplianceSettings, open_service)


if __name__ == "__main__":
    main()
