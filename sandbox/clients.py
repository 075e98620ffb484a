"""What a client of the engine has: a channel to each service and the stubs of what it calls."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from compliance.v1.screening_service_pb2_grpc import ScreeningServiceStub
from compliance.v1.subject_service_pb2_grpc import SubjectServiceStub
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from gateway.v1.rail_service_pb2_grpc import RailServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from sandbox.addresses import Ports, at

if TYPE_CHECKING:
    from compliance.v1.screening_service_pb2_grpc import ScreeningServiceAsyncStub
    from compliance.v1.subject_service_pb2_grpc import SubjectServiceAsyncStub
    from gateway.v1.merchant_service_pb2_grpc import MerchantServiceAsyncStub
    from gateway.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub
    from gateway.v1.rail_service_pb2_grpc import RailServiceAsyncStub
    from ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub


@dataclass(frozen=True)
class Clients:
    """Stubs of the services that the sandbox calls, over plain text on loopback."""

    payments: "PaymentServiceAsyncStub"
    merchants: "MerchantServiceAsyncStub"
    rails: "RailServiceAsyncStub"
    subjects: "SubjectServiceAsyncStub"
    screening: "ScreeningServiceAsyncStub"
    ledger: "LedgerServiceAsyncStub"


@asynccontextmanager
async def open_clients(ports: Ports) -> AsyncIterator[Clients]:
    """Channels to the three services, closed with the block."""
    async with AsyncExitStack() as stack:
        gateway, compliance, ledger = [
            await stack.enter_async_context(grpc.aio.insecure_channel(at(port)))
            for port in (ports.gateway, ports.compliance, ports.ledger)
        ]
        yield Clients(
            payments=PaymentServiceStub(gateway),
            merchants=MerchantServiceStub(gateway),
            rails=RailServiceStub(gateway),
            subjects=SubjectServiceStub(compliance),
            screening=ScreeningServiceStub(compliance),
            ledger=LedgerServiceStub(ledger),
        )
