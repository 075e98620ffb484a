"""Breaks: the loop that matches, what people see and decide, and who is told."""

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.breaks.deciding import Deciding
from reconciliation.breaks.gauges import BreakGauges
from reconciliation.breaks.item_service import ItemService
from reconciliation.breaks.service import ReconciliationService
from reconciliation.config import ReconciliationSettings
from reconciliation.part import DATABASE_ROLE, Part
from reconciliation.runs.matcher import Matcher
from reconciliation.v1 import (
    item_service_pb2,
    item_service_pb2_grpc,
    reconciliation_service_pb2,
    reconciliation_service_pb2_grpc,
)
from runtime.clock import Clock
from runtime.database import Database
from runtime.mutations import Mutations
from runtime.notifications import Listener
from runtime.notifier import Notifier
from runtime.server import registered

# Notified by the trigger that numbers events.
CHANNEL = "reconciliation_break"


def open_breaks(
    settings: ReconciliationSettings,
    database: Database,
    engine: AsyncEngine,
    mutations: Mutations,
    new_items: Notifier,
    clock: Clock,
) -> Part:
    """`new_items` is notified by intakes."""
    notifier = Notifier()
    matcher = Matcher(engine, settings.policy, clock, new_items, settings.match_batch_items)
    deciding = Deciding(matcher, clock)
    servicer = ReconciliationService(engine, mutations, deciding, notifier, clock)
    listener = Listener(
        database,
        role=DATABASE_ROLE,
        notifiers={CHANNEL: notifier},
        name="reconciliation listener",
    )
    return Part(
        services=(
            registered(reconciliation_service_pb2, reconciliation_service_pb2_grpc, servicer),
            registered(item_service_pb2, item_service_pb2_grpc, ItemService(engine, clock)),
        ),
        loops=(listener.loop(), matcher.loop(), BreakGauges(engine, clock).loop()),
    )
