"""Documents in one process: taken by the service, brought to Stripe by a loop."""

from datetime import timedelta

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.config import ComplianceSettings
from compliance.documents.clamd import Scanner
from compliance.documents.gateway_files import GatewayFiles
from compliance.documents.handling import DocumentHandling
from compliance.documents.service import DocumentService
from compliance.documents.taking import Admission, DocumentTaking
from compliance.part import Part
from compliance.v1 import document_service_pb2, document_service_pb2_grpc
from runtime.addresses import split_address
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.notifier import Notifier
from runtime.server import registered

# A document of 10 MB with everything around it.
MAX_DOCUMENT_REQUEST_BYTES = 10 * 1024 * 1024


def open_documents(
    settings: ComplianceSettings,
    engine: AsyncEngine,
    mutations: Mutations,
    gateway: grpc.aio.Channel | None,
    clock: Clock,
) -> Part:
    """There is nothing to close. Without a gateway what was taken before waits."""
    came, sealer = Notifier(), settings.document_sealer
    admission = Admission(settings.setting_that_documents_need)
    taking = DocumentTaking(engine, mutations, sealer, admission, clock, came)
    handling = DocumentHandling(
        engine,
        sealer,
        Scanner(*split_address(settings.clamd_address)) if settings.clamd_address else None,
        GatewayFiles(gateway) if gateway is not None else None,
        clock,
        came,
        unscanned=settings.may_go_unscanned,
        retention=timedelta(days=settings.document_retention_days),
        interval=timedelta(seconds=settings.document_interval_seconds),
    )
    servicer = DocumentService(engine, taking)
    return Part(
        services=(
            registered(
                document_service_pb2,
                document_service_pb2_grpc,
                servicer,
                request_bytes={"CreateDocument": MAX_DOCUMENT_REQUEST_BYTES},
            ),
        ),
        loops=(handling.loop(),),
    )
