"""The command, run in this process or until it dies, and what a ledger's log is by its export."""

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.v1 import balance_pb2 as balances
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.export_pb2 import ExportLogRequest
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from runtime.clock import Clock
from runtime.progress import Progress
from tests import commands
from tests.ledger.running import Ran, Served
from tests.warehouse.stores import Store
from warehouse.__main__ import parser, run
from warehouse.ledger_source import LedgerSource
from warehouse.loader import LIMITS, Loader, LoadLimits

LEDGER = "main"


async def load(served: Served, store: Store, clock: Clock, *more: str) -> Ran:
    """The command from start to end."""
    return await run_with(store, clock, "--address", served.address, "--ledger", LEDGER, *more)


async def run_with(store: Store, clock: Clock, *given: str) -> Ran:
    """The command with these arguments and the warehouse's."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in store.environment.items():
            patched.setenv(name, value)
        parsed = parser().parse_args([*store.arguments, *given])
        code = await run(parsed, Progress(said, clock), clock)
    return Ran(code, said.getvalue())


async def run_dying(store: Store, place: str, *given: str, at: int = 1, late: bool = False) -> int:
    """How the command ends as a process that kills itself (`tests/warehouse/dying.py`)."""
    ended = await asyncio.to_thread(
        commands.run,
        "tests.warehouse.dying",
        *(place, str(at), "after" if late else "before", *given, *store.arguments),
        environment=store.environment,
    )
    return ended.returncode


def loader_of(served: Served, store: Store, clock: Clock, limits: LoadLimits = LIMITS) -> Loader:
    """What the command runs."""
    source = LedgerSource(
        LedgerServiceStub(served.channel), AuditServiceStub(served.channel), served.address, LEDGER
    )
    return Loader(source, store.sink, Progress(io.StringIO(), clock), limits)


async def log_of(served: Served) -> Sequence[bytes]:
    """All leaves of the ledger."""
    stub: Any = AuditServiceStub(served.channel)
    last = (await trial_balance(served)).sequence
    request = ExportLogRequest(ledger=LEDGER, through_sequence=last)
    return [leaf async for answer in stub.ExportLog(request) for leaf in answer.transactions]


async def trial_balance(served: Served) -> balances.GetTrialBalanceResponse:
    """The books as they are."""
    stub: Any = LedgerServiceStub(served.channel)
    answer: balances.GetTrialBalanceResponse = await stub.GetTrialBalance(
        balances.GetTrialBalanceRequest(ledger=LEDGER, page_size=1_000)
    )
    return answer
