"""What a client of the engine has: a channel to each service and the stubs of what it calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import grpc

from compliance.v1.case_service_pb2_grpc import CaseServiceStub
from compliance.v1.freeze_forecast_service_pb2_grpc import FreezeForecastServiceStub
from compliance.v1.policy_service_pb2_grpc import PolicyServiceStub
from compliance.v1.requirement_service_pb2_grpc import RequirementServiceStub
from compliance.v1.screening_service_pb2_grpc import ScreeningServiceStub
from compliance.v1.subject_service_pb2_grpc import SubjectServiceStub
from gateway.v1.corridor_service_pb2_grpc import CorridorServiceStub
from gateway.v1.dispute_service_pb2_grpc import DisputeServiceStub
from gateway.v1.foresight_service_pb2_grpc import ForesightServiceStub
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from gateway.v1.routing_service_pb2_grpc import RoutingServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from sandbox.addresses import Ports, at

if TYPE_CHECKING:
    from compliance.v1.case_service_pb2_grpc import CaseServiceAsyncStub
    from compliance.v1.freeze_forecast_service_pb2_grpc import FreezeForecastServiceAsyncStub
    from compliance.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub
    from compliance.v1.requirement_service_pb2_grpc import RequirementServiceAsyncStub
    from compliance.v1.screening_service_pb2_grpc import ScreeningServiceAsyncStub
    from compliance.v1.subject_service_pb2_grpc import SubjectServiceAsyncStub
    from gateway.v1.corridor_service_pb2_grpc import CorridorServiceAsyncStub
    from gateway.v1.dispute_service_pb2_grpc import DisputeServiceAsyncStub
    from gateway.v1.foresight_service_pb2_grpc import ForesightServiceAsyncStub
    from gateway.v1.merchant_service_pb2_grpc import MerchantServiceAsyncStub
    from gateway.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub
    from gateway.v1.payout_service_pb2_grpc import PayoutServiceAsyncStub
    from gateway.v1.routing_service_pb2_grpc import RoutingServiceAsyncStub
    from ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub


@dataclass(frozen=True)
class Clients:
    """Stubs of the services that the sandbox calls."""

    payments: "PaymentServiceAsyncStub"
    disputes: "DisputeServiceAsyncStub"
    payouts: "PayoutServiceAsyncStub"
    merchants: "MerchantServiceAsyncStub"
    corridors: "CorridorServiceAsyncStub"
    foresight: "ForesightServiceAsyncStub"
    routing: "RoutingServiceAsyncStub"
    subjects: "SubjectServiceAsyncStub"
    screening: "ScreeningServiceAsyncStub"
    cases: "CaseServiceAsyncStub"
    freezes: "FreezeForecastServiceAsyncStub"
    policies: "PolicyServiceAsyncStub"
    requirements: "RequirementServiceAsyncStub"
    ledger: "LedgerServiceAsyncStub"

    @classmethod
    def over(
        cls,
        *,
        gateway: grpc.aio.Channel,
        compliance: grpc.aio.Channel,
        ledger: grpc.aio.Channel,
    ) -> Self:
        """Stubs over one channel to each service."""
        return cls(
            payments=PaymentServiceStub(gateway),
            disputes=DisputeServiceStub(gateway),
            payouts=PayoutServiceStub(gateway),
            merchants=MerchantServiceStub(gateway),
            corridors=CorridorServiceStub(gateway),
            foresight=ForesightServiceStub(gateway),
            routing=RoutingServiceStub(gateway),
            subjects=SubjectServiceStub(compliance),
            screening=ScreeningServiceStub(compliance),
            cases=CaseServiceStub(compliance),
            freezes=FreezeForecastServiceStub(compliance),
            policies=PolicyServiceStub(compliance),
            requirements=RequirementServiceStub(compliance),
            ledger=LedgerServiceStub(ledger),
        )


@asynccontextmanager
async def open_clients(ports: Ports) -> AsyncIterator[Clients]:
    """Plain-text channels to the services on loopback, closed with the block."""
    async with (
        grpc.aio.insecure_channel(at(ports.gateway)) as gateway,
        grpc.aio.insecure_channel(at(ports.compliance)) as compliance,
        grpc.aio.insecure_channel(at(ports.ledger)) as ledger,
    ):
        yield Clients.over(gateway=gateway, compliance=compliance, ledger=ledger)
