"""Sources: a loop for each feed that items come from, and one for what the balances should be."""

from contextlib import AsyncExitStack

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.balances.reading import BalanceReading
from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.items.intake import Intake
from reconciliation.items.source import ItemSource
from reconciliation.part import Part
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.ledger import LedgerSource
from reconciliation.sources.payouts import PayoutSource
from reconciliation.sources.watching import FeedWatch
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.notifier import Notifier


async def open_sources(
    stack: AsyncExitStack,
    settings: ReconciliationSettings,
    engine: AsyncEngine,
    new_items: Notifier,
    clock: Clock,
) -> Part:
    """`new_items` is notified of what came; the stack closes the channels."""

    async def channel(address: str, *services: str) -> grpc.aio.Channel:
        return await stack.enter_async_context(
            open_channel(address, settings, idempotent_services=services)
        )

    conditions = Conditions(settings.policy, clock)
    sources: list[ItemSource] = []
    loops: list[Loop] = []
    if settings.ledger_address:
        to_ledger = await channel(settings.ledger_address, "ledger.v1.LedgerService")
        sources.append(
            LedgerSource(LedgerServiceStub(to_ledger), settings.ledger, settings.book_days)
        )
    if settings.gateway_address:
        to_gateway = await channel(
            settings.gateway_address,
            "gateway.v1.BalanceTransactionService",
            "gateway.v1.PayoutService",
        )
        moved = BalanceTransactionServiceStub(to_gateway)
        sources.append(BalanceTransactionSource(moved, settings.book_days))
        sources.append(PayoutSource(PayoutServiceStub(to_gateway)))
        loops.append(BalanceReading(engine, moved, conditions, clock).loop())
    loops += [Intake(engine, source, new_items, clock).loop() for source in sources]
    if sources:
        names = [source.name for source in sources]
        loops.append(FeedWatch(engine, names, conditions, clock).loop())
    return Part(loops=loops)
