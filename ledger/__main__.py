"""The ledger service: `python -m ledger`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ledger.checks import MAX_TRANSACTION_BYTES
from ledger.config import LedgerSettings
from ledger.errors import ERRORS
from ledger.keys import SIGNING
from ledger.limits import LIMITS, Limits
from ledger.opening_shards import OpenShards, closing, shards_for
from ledger.operator_acts import open_operator_acts
from ledger.routing import RoutedAuditService, RoutedLedgerService
from ledger.shards_command import MOVE, SHARDS
from ledger.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
)
from ledger.validation import VALIDATOR
from runtime.acts import ActLog
from runtime.clock import Clock, SystemClock
from runtime.migrations import prepare_database
from runtime.process import run_service
from runtime.server import RpcServer, registered


@asynccontextmanager
async def open_service(
    settings: LedgerSettings, clock: Clock | None = None, limits: Limits = LIMITS
) -> AsyncIterator[RpcServer]:
    """Serves; on exit drains: callers first, then committers, then connections."""
    clock = clock or SystemClock()
    url = await prepare_database(settings)
    shards = shards_for(settings, url, SIGNING.key(settings), clock, limits)
    default = shards.default
    acts = ActLog(default.reads, clock)
    server = RpcServer(
        settings,
        services=[
            registered(
                ledger_service_pb2,
                ledger_service_pb2_grpc,
                RoutedLedgerService(shards),
                batches=("BatchCreateAccounts", "BatchCreateTransactions"),
                request_bytes={"CreateTransaction": MAX_TRANSACTION_BYTES},
            ),
            registered(audit_service_pb2, audit_service_pb2_grpc, RoutedAuditService(shards)),
            open_operator_acts(acts),
        ],
        errors=ERRORS,
        validator=VALIDATOR,
        # Others may be away: that is told to those who call a ledger of theirs.
        dependencies={"database": default.database.check},
        changed=default.database.changed,
        acts=acts,
        durability=default.database.durability,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(closing(shards))
        await stack.enter_async_context(server.supervisor.running(*default.loops()))
        opening = OpenShards(settings, shards, server.supervisor)
        await stack.enter_async_context(opening.running())
        stack.push_async_callback(server.stop)
        await server.start()
        yield server


def main() -> None:
    """Runs the service until it is told to stop."""
    run_service(LedgerSettings, open_service, commands=[SHARDS, MOVE])


if __name__ == "__main__":
    main()
