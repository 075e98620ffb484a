"""The ledger service: `python -m ledger`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ledger.answers import Answers
from ledger.audit import AuditService
from ledger.checks import MAX_TRANSACTION_BYTES
from ledger.config import LedgerSettings
from ledger.connections import commit_connections, read_connections
from ledger.errors import ERRORS
from ledger.feed import Feed
from ledger.keys import SIGNING
from ledger.ledgers import Ledgers
from ledger.limits import LIMITS, Limits
from ledger.operator_acts import open_operator_acts
from ledger.proofs import Proofs
from ledger.reader import Reader
from ledger.sealing import Sealer
from ledger.seals import Seals
from ledger.service import LedgerService
from ledger.snapshots import Snapshots
from ledger.standing import Standings
from ledger.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
)
from ledger.validation import VALIDATOR
from runtime.acts import ActLog
from runtime.clock import Clock, SystemClock
from runtime.database import Database
from runtime.durability_watch import DurabilityWatch
from runtime.migrations import prepare_database
from runtime.process import run_service
from runtime.server import RpcServer, registered


@asynccontextmanager
async def open_service(
    settings: LedgerSettings, clock: Clock | None = None, limits: Limits = LIMITS
) -> AsyncIterator[RpcServer]:
    """Serves; on exit drains: callers first, then committers, then connections."""
    clock = clock or SystemClock()
    signer = SIGNING.key(settings)
    durability = DurabilityWatch(required=settings.require_synchronous)
    database = Database(await prepare_database(settings), settings.database_limits, durability)
    reads = read_connections(database, settings.database_pool_size)
    commits = commit_connections(database, settings.commit_pool_size)
    reader = Reader(reads)
    feed = Feed(reader)
    seals = Seals(reads)
    confirm = durability.confirm if durability.required else None
    sealer = Sealer(seals, signer, clock, settings.seal_interval_ms, confirm)
    snapshots = Snapshots(reads, limits)

    def on_commit(ledger_id: int, last_sequence: int) -> None:
        feed.on_commit(ledger_id, last_sequence)
        sealer.notify()
        snapshots.notify()

    acts = ActLog(reads, clock)
    ledgers = Ledgers(reader, reads, commits, clock, on_commit, limits)
    server = RpcServer(
        settings,
        services=[
            registered(
                ledger_service_pb2,
                ledger_service_pb2_grpc,
                LedgerService(
                    ledgers,
                    Answers(reader),
                    reader,
                    Standings(reads, reader, clock),
                    feed,
                    clock,
                    limits,
                ),
                batches=("BatchCreateAccounts", "BatchCreateTransactions"),
                request_bytes={"CreateTransaction": MAX_TRANSACTION_BYTES},
            ),
            registered(
                audit_service_pb2,
                audit_service_pb2_grpc,
                AuditService(ledgers, reader, reads, Proofs(seals, reader)),
            ),
            open_operator_acts(acts),
        ],
        errors=ERRORS,
        validator=VALIDATOR,
        dependencies={"database": database.check},
        changed=database.changed,
        acts=acts,
        durability=durability,
    )
    async with AsyncExitStack() as stack:
        for connections in (reads, commits):
            stack.push_async_callback(connections.close)
        stack.push_async_callback(ledgers.finish)
        await stack.enter_async_context(
            server.supervisor.running(
                database.loop(), feed.loop(), ledgers.sweep_loop(), sealer.loop(), snapshots.loop()
            )
        )
        stack.push_async_callback(server.stop)
        await server.start()
        yield server


def main() -> None:
    """Runs the service until it is told to stop."""
    run_service(LedgerSettings, open_service)


if __name__ == "__main__":
    main()
