"""Disputes in one process."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.disputes.operations import kinds
from gateway.disputes.service import DisputeServicer
from gateway.disputes.stripe_events import Disputes
from gateway.disputes.validation import MAX_EVIDENCE_REQUEST_BYTES
from gateway.operations.requests import DISPUTE_REQUEST
from gateway.operations.wiring import OpenOperations
from gateway.part import Part
from gateway.payments.wiring import OpenPayments
from gateway.stripe_client.client import StripeClient
from gateway.v1 import dispute_service_pb2, dispute_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenDisputes(Part):
    """What others need of disputes."""

    disputes: Disputes


def open_disputes(
    engine: AsyncEngine,
    stripe_client: StripeClient,
    payments: OpenPayments,
    operations: OpenOperations,
    clock: Clock,
) -> OpenDisputes:
    """There is nothing to close."""
    disputes = Disputes(engine, stripe_client, payments.events, operations.subjects, clock)
    operations.register(kinds(stripe_client, disputes))
    servicer = DisputeServicer(engine, operations.commands(DISPUTE_REQUEST), operations.gate)
    return OpenDisputes(
        disputes=disputes,
        services=(
            registered(
                dispute_service_pb2,
                dispute_service_pb2_grpc,
                servicer,
                request_bytes={"SubmitDisputeEvidence": MAX_EVIDENCE_REQUEST_BYTES},
            ),
        ),
        event_routes=disputes.routes(),
    )
