"""A ledger service with an address, and the export and import commands run against it."""

import asyncio
import importlib
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from ledger.limits import LIMITS, Limits
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from money.v1.money_pb2 import Money
from runtime.client import open_channel
from runtime.clock import ManualClock, SystemClock
from runtime.errors import ReceivedError, from_rpc_error
from runtime.progress import Progress
from runtime.signed_notes import SignerKey
from sandbox.polling import poll
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, credit, debit, draft, key, transfer

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
# Seals for the first time in an hour: not while a test runs.
HOUR_MS = 3_600_000
# The largest calls of the tests take seconds, and longer beside others.
CALL_SECONDS = 30.0
OpenReplica = Callable[..., Awaitable[LedgerClient]]
# Signs the checkpoints of every service of the tests.
SIGNER = SignerKey("ledger.test", bytes(range(32)))


def settings_for(url: str, **more: Any) -> LedgerSettings:
    """Settings of a ledger on that database, on free ports."""
    return LedgerSettings(
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        database_url=url,
        signing_key=SIGNER.secret_text(),
        **{"seal_interval_ms": 50, **more},
    )


PROJECT = Path(__file__).parent.parent.parent
# What a fresh ledger and a sensible command need, several times over.
COMMAND_SECONDS = 60
PIPE_BYTES = 4_096
ITEMS_PER_CALL = 500


@dataclass(frozen=True)
class Served:
    """A running service: where it is, and a client of its ledger."""

    address: str
    channel: grpc.aio.Channel
    client: LedgerClient


@asynccontextmanager
async def serving(
    url: str, clock: ManualClock, limits: Limits = LIMITS, **more: Any
) -> AsyncIterator[Served]:
    """A service on a database; `more` are settings."""
    settings = settings_for(url, **more)
    async with open_service(settings, clock, limits) as server:
        address = f"127.0.0.1:{server.port}"
        async with open_channel(
            address, settings, idempotent_services=[], default_timeout=CALL_SECONDS
        ) as channel:
            yield Served(address, channel, LedgerClient(channel))


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    said: str


async def start(module: str, *arguments: str | Path) -> asyncio.subprocess.Process:
    """A command as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *(str(argument) for argument in arguments)),
        cwd=PROJECT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def run(module: str, *arguments: str | Path) -> Ran:
    """A command from start to end, in this process."""
    command: Any = importlib.import_module(f"{module}.__main__")
    said = io.StringIO()
    parsed = command.parser().parse_args([str(argument) for argument in arguments])
    code = await command.run(parsed, Progress(said, SystemClock()))
    return Ran(code, said.getvalue())


async def export(served: Served, out: Path, *more: str, ledger: str = "main") -> Ran:
    """Exports a ledger once all of it is sealed."""
    await sealed(served.client)
    return await run(
        "ledger.export", "--address", served.address, "--ledger", ledger, "--out", out, *more
    )


async def load(served: Served, *inputs: Path | str, ledger: str = "main") -> Ran:
    """Imports files into a ledger."""
    return await run("ledger.load", *inputs, "--address", served.address, "--ledger", ledger)


async def sealed(client: LedgerClient) -> audit.GetCheckpointResponse:
    """The checkpoint that covers everything."""

    async def read() -> audit.GetCheckpointResponse | ReceivedError:
        try:
            return await client.audit.GetCheckpoint(
                audit.GetCheckpointRequest(ledger=client.ledger)
            )
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)

    found = await poll(
        read,
        lambda answer: (
            isinstance(answer, audit.GetCheckpointResponse) and not answer.unsealed_count
        ),
    )
    assert isinstance(found, audit.GetCheckpointResponse)
    return found


async def write_history(client: LedgerClient, clock: ManualClock) -> None:
    """A ledger with everything that a ledger can have."""
    await client.create_ledger()
    await client.account("assets/cash", request_id="cash")
    await client.account("assets/dollars", currency="USD")
    await client.account("rounding", currency="USD")
    await client.account("wallets/a", CREDIT_NORMAL, min_available_minor=0)
    await client.account("wallets/b", CREDIT_NORMAL, max_posted_minor=10**15, min_posted_minor=-5)
    labels = {"plain": "1", "ünï": '🦊\u2028\x01"\\', "\ue000": "after", "😀": "before"}
    await client.create(
        transfer("wallets/a", "assets/cash", 10_000, reference="größe", metadata=labels), "first"
    )
    clock.advance(timedelta(seconds=1, microseconds=7))
    await client.create(
        draft(
            debit("assets/dollars", 1_083, "USD", description="bought \t it"),
            debit("rounding", 2, "USD"),
            credit("assets/dollars", 1_085, "USD"),
            debit("assets/cash", 1_000),
            credit("wallets/b", 1_000, description=""),
            exchanges=[
                transactions.Exchange(
                    sold=Money(currency_code="EUR", minor_units=1_000),
                    bought=Money(currency_code="USD", minor_units=1_083),
                    rate="1.085",
                    remainder_account="rounding",
                )
            ],
        )
    )
    soon = clock.now() + timedelta(minutes=10)
    late = clock.now() + timedelta(days=30)
    await client.hold("wallets/b", "wallets/a", 900, "kept")
    await client.post("kept", {0: 300, 1: 300}, remainder=transactions.REMAINDER_KEEP)
    await client.post("kept", {0: 100, 1: 100}, "kept-rest", metadata={"part": "2"})
    await client.hold("wallets/b", "wallets/a", 50, "voided", expire_time=soon)
    await client.void("voided")
    await client.hold("wallets/b", "wallets/a", 60, "lapsing", expire_time=soon)
    await client.hold("wallets/b", "wallets/a", 70, "open", expire_time=late)
    await client.hold("wallets/b", "wallets/a", 80, "whole")
    await client.post("whole")
    clock.advance(timedelta(minutes=11))
    await client.reverse("first", {0: 250, 1: 250})
    await client.reverse("kept-rest")
    back = clock.now() - timedelta(days=400)
    await client.batch(
        mutations.BatchItem(create=transfer("wallets/a", "assets/cash", 3, effective_time=back)),
        mutations.BatchItem(request_id="b-2", create=transfer("wallets/b", "assets/cash", 4)),
        mutations.BatchItem(void=transactions.VoidInput(pending=key("first"))),
    )


async def write_many(client: LedgerClient, count: int, prefix: str = "many") -> None:
    """So many more transactions, with labels so that they take some room."""
    for first in range(0, count, ITEMS_PER_CALL):
        items = [
            mutations.BatchItem(
                request_id=f"{prefix}-{number}",
                create=transfer(
                    "wallets/b", "assets/cash", number + 1, metadata={"note": f"{number:0200}"}
                ),
            )
            for number in range(first, min(first + ITEMS_PER_CALL, count))
        ]
        await client.batch(*items, view=transactions.TRANSACTION_VIEW_SUMMARY)


class StallingProxy:
    """Passes bytes between a command and a service, until it has passed so many; then nothing.

    What was on the way is lost, as with a network that goes away: no end, no error.
    """

    def __init__(self, address: str, *, answers: int) -> None:
        """`answers` is how many bytes of the service's answers come through."""
        self._target = address.rsplit(":", 1)
        self._left = answers
        self.stalled = asyncio.Event()
        self._healed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def heal(self) -> None:
        """Breaks the connections that are stalled; new ones pass everything."""
        self._left = sys.maxsize
        self._healed.set()
        for writer in self._writers:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The proxy's address."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target
        from_service, to_service = await asyncio.open_connection(host, int(port))
        self._writers += [writer, to_service]
        for piping in (self._answers(from_service, writer), self._requests(reader, to_service)):
            task = asyncio.create_task(piping)
            self._tasks.add(task)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIPE_BYTES):
            writer.write(data)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIPE_BYTES):
            if len(data) > self._left:
                self._left = 0
                self.stalled.set()
                await self._healed.wait()
                return
            self._left -= len(data)
            writer.write(data)
            await writer.drain()
