"""Closing: the service, and the loop that tells of what came late."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.closing.closing import Closing, Rules
from reconciliation.closing.completeness import (
    Completeness,
    LedgerCompleteness,
    StripeCompleteness,
)
from reconciliation.closing.gauges import ClosingGauges
from reconciliation.closing.late import LateActivity
from reconciliation.closing.service import PeriodService
from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.keys import SIGNING
from reconciliation.part import Part
from reconciliation.v1 import period_service_pb2, period_service_pb2_grpc
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.server import registered


async def open_closing(
    stack: AsyncExitStack,
    settings: ReconciliationSettings,
    engine: AsyncEngine,
    mutations: Mutations,
    clock: Clock,
    others: Sequence[Completeness] = (),
) -> Part:
    """`others` are sources that are asked besides the ledger and the gateway before a period is
    closed, such as the statements of bank accounts. The stack closes the channels."""

    async def channel(address: str, *services: str) -> grpc.aio.Channel:
        return await stack.enter_async_context(
            open_channel(address, settings, idempotent_services=services)
        )

    book_days = settings.book_days
    ledger: LedgerCompleteness | None = None
    sources = list(others)
    if settings.ledger_address:
        to_ledger = await channel(
            settings.ledger_address, "ledger.v1.LedgerService", "ledger.v1.AuditService"
        )
        ledger = LedgerCompleteness(
            engine,
            LedgerServiceStub(to_ledger),
            AuditServiceStub(to_ledger),
            settings.ledger,
            book_days,
        )
    if settings.gateway_address:
        to_gateway = await channel(settings.gateway_address, "gateway.v1.BalanceTransactionService")
        stub = BalanceTransactionServiceStub(to_gateway)
        sources.append(StripeCompleteness(engine, stub, book_days))
    late = LateActivity(engine, Conditions(settings.policy, clock))
    closing = Closing(
        Rules(
            ledger=settings.ledger,
            policy_version=settings.policy.version,
            close_after=settings.finance.close_after,
            book_days=book_days,
        ),
        SIGNING.key(settings),
        ledger,
        sources,
        late,
        clock,
    )
    servicer = PeriodService(engine, mutations, closing)
    return Part(
        services=(registered(period_service_pb2, period_service_pb2_grpc, servicer),),
        loops=(late.loop(), ClosingGauges(engine, book_days).loop()),
    )
