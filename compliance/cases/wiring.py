"""Cases: what people decide, the loops that keep cases true, and who is told."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.cases.case import four_eyes_limits
from compliance.cases.gauges import CaseGauges
from compliance.cases.keeping import CaseKeeping
from compliance.cases.looking import CaseExpiry, CaseLooks
from compliance.cases.service import CaseService
from compliance.config import ComplianceSettings
from compliance.evidence_news import EvidenceNews
from compliance.part import DATABASE_ROLE, Part
from compliance.policies.in_force import PolicyInForce
from compliance.v1 import case_service_pb2, case_service_pb2_grpc
from runtime import arrays
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.database import Database
from runtime.mutations import Mutations
from runtime.notifications import Listener
from runtime.notifier import Notifier
from runtime.server import registered

# Notified by the trigger that numbers events.
CHANNEL = "compliance_case"


@asynccontextmanager
async def open_cases(
    settings: ComplianceSettings,
    database: Database,
    engine: AsyncEngine,
    mutations: Mutations,
    keeping: CaseKeeping,
    in_force: PolicyInForce,
    news: EvidenceNews,
    clock: Clock,
) -> AsyncIterator[Part]:
    """Opens the connection on which cases are looked at again."""
    connections = Connections(
        database,
        role=DATABASE_ROLE,
        size=1,
        application_name="compliance-case-looks",
        read_span="compliance.load_facts",
        prepare=arrays.register,
    )
    notifier = Notifier()

    def limits() -> Mapping[str, int]:
        return four_eyes_limits(in_force.policy, settings.four_eyes_over)

    servicer = CaseService(engine, mutations, limits, notifier, clock)
    list_names = tuple(settings.list_files)
    looks = CaseLooks(engine, connections, keeping, in_force, news, list_names, clock)
    listener = Listener(
        database,
        role=DATABASE_ROLE,
        notifiers={CHANNEL: notifier},
        name="compliance listener",
    )
    try:
        yield Part(
            services=(registered(case_service_pb2, case_service_pb2_grpc, servicer),),
            loops=(
                listener.loop(),
                looks.loop(settings.case_interval_seconds),
                CaseExpiry(engine, settings.case_idle_for, clock).loop(
                    settings.case_interval_seconds
                ),
                CaseGauges(engine, settings.case_target, clock).loop(),
            ),
        )
    finally:
        await connections.close()
