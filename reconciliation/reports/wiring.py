"""Reports: the loop that compares them, where there is a gateway to ask."""

from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.report_service_pb2_grpc import ReportServiceStub
from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.part import Part
from reconciliation.reports.checking import ReportChecks
from reconciliation.reports.fetching import GatewayReports
from runtime.client import open_channel
from runtime.clock import Clock

_SERVICES = ("gateway.v1.ReportService", "gateway.v1.BalanceTransactionService")


async def open_reports(
    stack: AsyncExitStack, settings: ReconciliationSettings, engine: AsyncEngine, clock: Clock
) -> Part:
    """The stack closes the channel."""
    if not settings.gateway_address:
        return Part()
    channel = await stack.enter_async_context(
        open_channel(settings.gateway_address, settings, idempotent_services=_SERVICES)
    )
    book_days = settings.book_days
    gateway = GatewayReports(
        ReportServiceStub(channel), BalanceTransactionServiceStub(channel), book_days
    )
    conditions = Conditions(settings.policy, clock)
    checks = ReportChecks(engine, gateway, conditions, clock, book_days)
    return Part(loops=[checks.loop()])
