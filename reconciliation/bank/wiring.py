"""Statements: who takes them, and who shows them."""

from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.bank.accounts import BankAccount
from reconciliation.bank.collecting import Collecting
from reconciliation.bank.service import StatementService
from reconciliation.bank.store import CHANNEL
from reconciliation.bank.stores import Bucket, Folder, StatementStore
from reconciliation.bank.taking import StatementTaking
from reconciliation.bank.watching import StatementWatch
from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.part import DATABASE_ROLE, Part
from reconciliation.v1 import statement_service_pb2, statement_service_pb2_grpc
from runtime.clock import Clock
from runtime.database import Database
from runtime.mutations import Mutations
from runtime.notifications import Listener
from runtime.notifier import Notifier
from runtime.object_storage import Location, ObjectStorage, open_object_storage
from runtime.server import registered


async def open_bank(
    stack: AsyncExitStack,
    settings: ReconciliationSettings,
    database: Database,
    engine: AsyncEngine,
    mutations: Mutations,
    new_items: Notifier,
    clock: Clock,
) -> Part:
    """`new_items` is notified of lines that are compared; the stack closes what is opened."""
    news = Notifier()
    taking = StatementTaking(engine, new_items, news, clock)
    servicer = StatementService(engine, mutations, settings.bank_accounts, taking, news)
    conditions = Conditions(settings.policy, clock)
    watch = StatementWatch(engine, settings.bank_accounts, conditions, news, clock)
    stores = await _open_stores(stack, settings)
    collecting = [Collecting(engine, stores, taking, clock).loop()] if stores else []
    listener = Listener(
        database, role=DATABASE_ROLE, notifiers={CHANNEL: news}, name="statement listener"
    )
    return Part(
        services=(registered(statement_service_pb2, statement_service_pb2_grpc, servicer),),
        loops=(listener.loop(), watch.loop(), *collecting),
    )


async def _open_stores(
    stack: AsyncExitStack, settings: ReconciliationSettings
) -> dict[str, tuple[BankAccount, StatementStore]]:
    """Where files are collected from; a location is opened once."""
    storages: dict[Location, ObjectStorage] = {}
    stores: dict[str, tuple[BankAccount, StatementStore]] = {}
    for name, place in settings.statement_places.items():
        account = settings.bank_accounts[name]
        if place.folder is not None:
            stores[name] = account, Folder(place.folder)
            continue
        assert place.location is not None, "a place is a folder or a location"
        if place.location not in storages:
            storage = await stack.enter_async_context(open_object_storage(place.location))
            storages[place.location] = storage
        stores[name] = account, Bucket(storages[place.location], place.beginning)
    return stores
