"""Checks and the log of their decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.refreshing import SnapshotRefresher
from compliance.cases.keeping import CaseKeeping
from compliance.checks.checking import Checking
from compliance.checks.decision_log import DecisionLog
from compliance.checks.service import ComplianceService, DecisionService
from compliance.config import ComplianceSettings
from compliance.part import DATABASE_ROLE, Part
from compliance.policies.in_force import PolicyInForce
from compliance.v1 import (
    compliance_service_pb2,
    compliance_service_pb2_grpc,
    decision_service_pb2,
    decision_service_pb2_grpc,
)
from runtime.clock import Clock
from runtime.database import Database
from runtime.server import registered


@asynccontextmanager
async def open_checks(
    settings: ComplianceSettings,
    database: Database,
    engine: AsyncEngine,
    refresher: SnapshotRefresher,
    in_force: PolicyInForce,
    cases: CaseKeeping,
    clock: Clock,
) -> AsyncIterator[Part]:
    """Opens the connections on which checks read."""
    decision_log = DecisionLog(database, DATABASE_ROLE, "compliance-decisions", cases)
    checking = Checking(
        engine,
        decision_log,
        refresher,
        in_force,
        clock,
        settings.snapshot_timeout_seconds,
        tuple(settings.list_files),
    )
    checks, decisions = ComplianceService(checking), DecisionService(engine)
    try:
        yield Part(
            services=(
                registered(compliance_service_pb2, compliance_service_pb2_grpc, checks),
                registered(decision_service_pb2, decision_service_pb2_grpc, decisions),
            ),
        )
    finally:
        await decision_log.close()
