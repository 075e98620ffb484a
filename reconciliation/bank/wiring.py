"""Statements: who takes them, and who shows them."""

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.bank.service import StatementService
from reconciliation.bank.store import CHANNEL
from reconciliation.bank.taking import StatementTaking
from reconciliation.config import ReconciliationSettings
from reconciliation.part import DATABASE_ROLE, Part
from reconciliation.v1 import statement_service_pb2, statement_service_pb2_grpc
from runtime.clock import Clock
from runtime.database import Database
from runtime.mutations import Mutations
from runtime.notifications import Listener
from runtime.notifier import Notifier
from runtime.server import registered


def open_bank(
    settings: ReconciliationSettings,
    database: Database,
    engine: AsyncEngine,
    mutations: Mutations,
    new_items: Notifier,
    clock: Clock,
) -> Part:
    """`new_items` is notified of lines that are compared."""
    news = Notifier()
    taking = StatementTaking(engine, new_items, news, clock)
    servicer = StatementService(engine, mutations, settings.bank_accounts, taking, news)
    listener = Listener(
        database, role=DATABASE_ROLE, notifiers={CHANNEL: news}, name="statement listener"
    )
    return Part(
        services=(registered(statement_service_pb2, statement_service_pb2_grpc, servicer),),
        loops=(listener.loop(),),
    )
