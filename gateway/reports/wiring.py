"""Reports as every process shows them, and the leader's task that has them made."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.part import Part
from gateway.reports.report import ReportKind
from gateway.reports.running import ReportRuns
from gateway.reports.service import ReportServicer
from gateway.reports.store import ReportStore
from gateway.stripe_client.client import StripeClient
from gateway.v1 import report_service_pb2, report_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered


def open_reports(
    settings: GatewaySettings, engine: AsyncEngine, stripe_client: StripeClient, clock: Clock
) -> Part:
    """There is nothing to close. Without days to begin with no report is asked for."""
    servicer = ReportServicer(ReportStore(engine), stripe_client)
    served = (registered(report_service_pb2, report_service_pb2_grpc, servicer),)
    if not settings.report_days:
        return Part(services=served)
    runs = ReportRuns(
        engine,
        stripe_client,
        settings.report_days,
        clock,
        settings.report_time_zones,
        [ReportKind(kind) for kind in settings.report_kinds],
    )
    return Part(services=served, leader_tasks=(runs.loop(),), event_routes=runs.routes())
