"""Sources: a loop for each service that items come from."""

from contextlib import AsyncExitStack

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.config import ReconciliationSettings
from reconciliation.items.intake import Intake
from reconciliation.items.source import ItemSource
from reconciliation.part import Part
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.ledger import LedgerSource
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.notifier import Notifier


async def open_sources(
    stack: AsyncExitStack,
    settings: ReconciliationSettings,
    engine: AsyncEngine,
    new_items: Notifier,
    clock: Clock,
) -> Part:
    """`new_items` is notified of what came; the stack closes the channels."""

    async def channel(address: str, service: str) -> grpc.aio.Channel:
        return await stack.enter_async_context(
            open_channel(address, settings, idempotent_services=[service])
        )

    sources: list[ItemSource] = []
    if settings.ledger_address:
        to_ledger = await channel(settings.ledger_address, "ledger.v1.LedgerService")
        sources.append(
            LedgerSource(LedgerServiceStub(to_ledger), settings.ledger, settings.book_days)
        )
    if settings.gateway_address:
        to_gateway = await channel(settings.gateway_address, "gateway.v1.BalanceTransactionService")
        stub = BalanceTransactionServiceStub(to_gateway)
        sources.append(BalanceTransactionSource(stub, settings.book_days))
    return Part(loops=[Intake(engine, source, new_items, clock).loop() for source in sources])
