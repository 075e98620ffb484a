"""Adjusting: the service, and the loop that posts what was decided."""

from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.adjusting.asking import Asking
from reconciliation.adjusting.posting import AdjustmentPoster
from reconciliation.adjusting.service import AdjustmentService
from reconciliation.breaks.deciding import Deciding
from reconciliation.config import ReconciliationSettings
from reconciliation.part import Part
from reconciliation.runs.matcher import Matcher
from reconciliation.v1 import adjustment_service_pb2, adjustment_service_pb2_grpc
from runtime.client import open_channel
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.notifier import Notifier
from runtime.server import registered


async def open_adjusting(
    stack: AsyncExitStack,
    settings: ReconciliationSettings,
    engine: AsyncEngine,
    mutations: Mutations,
    clock: Clock,
) -> Part:
    """Without a ledger nothing is posted. The stack closes the channel."""
    decided = Notifier()
    loops = []
    if settings.ledger_address:
        channel = await stack.enter_async_context(
            open_channel(
                settings.ledger_address,
                settings,
                idempotent_services=["ledger.v1.LedgerService"],
            )
        )
        # It only decides: what is new is matched by the loop of another part.
        matcher = Matcher(engine, settings.policy, clock, Notifier())
        poster = AdjustmentPoster(
            engine,
            LedgerServiceStub(channel),
            settings.ledger,
            Deciding(matcher, clock),
            clock,
            decided,
        )
        loops.append(poster.loop())
    asking = Asking(settings.finance.adjustments, clock)
    servicer = AdjustmentService(engine, mutations, asking, decided)
    return Part(
        services=(registered(adjustment_service_pb2, adjustment_service_pb2_grpc, servicer),),
        loops=loops,
    )
