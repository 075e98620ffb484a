"""What the ledger's benchmarks share: the service in a process of its own, and its accounts."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from bench.cpu import Meter, meter_of
from bench.profiling import under_profiler
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1.balance_pb2 import GetTrialBalanceRequest
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import EntryInput
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_pb2 import TransactionInput
from money.v1.money_pb2 import Money
from runtime.message_size import MAX_MESSAGE_BYTES
from sandbox.addresses import free_port
from sandbox.child import child_command
from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server

LEDGER = "bench"
# As many as TigerBeetle's own benchmark has.
ACCOUNTS = 10_000
ACCOUNTS_PER_CALL = 1_000
# Compliance loads its list before it serves, which takes minutes on a machine that is busy.
START_TIMEOUT_SECONDS = 300.0

Line = dict[str, Any]
Measuring = Coroutine[Any, Any, Line]

numbers = itertools.count()


@dataclass
class RunningLedger:
    """A ledger service with its database, each in processes of their own.

    `made` is how many transactions the benchmark has made and seen the answers of.
    """

    address: str
    channel: grpc.aio.Channel
    stub: Any
    url: str
    service_pid: int
    postgres_pid: int
    made: int = 0

    @property
    def meter(self) -> Meter:
        """Processor time of service, PostgreSQL and client."""
        return meter_of(service=self.service_pid, postgres=self.postgres_pid)

    def call(self, method: str) -> Any:
        """A call of LedgerService that sends and answers bytes."""
        return raw_call(self.channel, f"/ledger.v1.LedgerService/{method}")

    async def check_books(self) -> None:
        """Raises `RuntimeError` unless it has what was made and nothing else, and that balances."""
        answer = await self.stub.GetLedger(ledgers.GetLedgerRequest(name=LEDGER))
        if answer.ledger.last_sequence != self.made:
            raise RuntimeError(f"{answer.ledger.last_sequence} recorded, {self.made} answered")
        balance = await self.stub.GetTrialBalance(GetTrialBalanceRequest(ledger=LEDGER))
        for total in balance.totals:
            if total.posted_debits_minor != total.posted_credits_minor:
                raise RuntimeError(f"the books do not balance: {total}")


def on_ledger(measure: Callable[..., Awaitable[Line]], *arguments: Any) -> Callable[[], Measuring]:
    """A benchmark of a ledger as one that starts the ledger it needs."""

    async def on_a_ledger_of_its_own() -> Line:
        async with running_ledger() as ledger:
            line = await measure(ledger, *arguments)
            await ledger.check_books()
            return line

    return on_a_ledger_of_its_own


@asynccontextmanager
async def running_ledger() -> AsyncIterator[RunningLedger]:
    """A ledger with accounts on a durable server of its own."""
    with temporary_server(durable=True) as postgres:
        async with ledger_on(postgres, "ledger_bench", {}) as ledger:
            yield ledger


@asynccontextmanager
async def ledger_service() -> AsyncIterator[tuple[Any, str]]:
    """A stub of a ledger with accounts, on a durable server of its own, and the database's URL."""
    async with running_ledger() as ledger:
        yield ledger.stub, ledger.url


@asynccontextmanager
async def ledger_on(
    postgres: EmbeddedPostgres, database: str, settings: Mapping[str, str]
) -> AsyncIterator[RunningLedger]:
    """A ledger with accounts in a database of its own, told some settings beyond the usual."""
    url = await asyncio.to_thread(postgres.database_url, database)
    port = free_port()
    environment = {
        "ENV": "sandbox",
        "LOG_LEVEL": "WARNING",
        "LEDGER_DATABASE_URL": url,
        "LEDGER_LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "LEDGER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
        **settings,
    }
    async with started(port, environment, *under_profiler(database), "ledger") as (
        channel,
        pid,
    ):
        stub = LedgerServiceStub(channel)
        await _set_up(stub)
        postgres_pid = int((postgres.data / "postmaster.pid").read_text().splitlines()[0])
        address = environment["LEDGER_LISTEN_ADDRESS"]
        yield RunningLedger(address, channel, stub, url, pid, postgres_pid)


async def _set_up(stub: Any) -> None:
    await stub.CreateLedger(ledgers.CreateLedgerRequest(request_id="bench", name=LEDGER))
    for first in range(0, ACCOUNTS, ACCOUNTS_PER_CALL):
        await stub.BatchCreateAccounts(
            accounts.BatchCreateAccountsRequest(
                request_id=f"accounts-{first}",
                ledger=LEDGER,
                accounts=[
                    accounts.AccountInput(
                        name=account_name(number),
                        currency_code="EUR",
                        normal_balance=accounts.NORMAL_BALANCE_DEBIT,
                    )
                    for number in range(first, first + ACCOUNTS_PER_CALL)
                ],
            )
        )


def account_name(number: int) -> str:
    """Names as they are in use: a path of some length."""
    return f"merchants/m_{number:06}/payable"


def transfer() -> TransactionInput:
    """The next transfer, over all accounts in turn."""
    number = next(numbers)
    return transfer_between(number % ACCOUNTS, (number * 7 + 1) % ACCOUNTS, 1 + number % 1_000)


def transfer_between(debited: int, credited: int, amount_minor: int) -> TransactionInput:
    """A transfer of some euro cents from one account to another, both by their numbers."""
    amount = Money(currency_code="EUR", minor_units=amount_minor)
    return TransactionInput(
        entries=[
            EntryInput(account=account_name(debited), direction=DIRECTION_DEBIT, amount=amount),
            EntryInput(account=account_name(credited), direction=DIRECTION_CREDIT, amount=amount),
        ]
    )


async def closed_loop(call: Callable[[], Awaitable[Any]], *, callers: int, calls: int) -> float:
    """Calls per second of callers that each make their next call when one is answered."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await call()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return calls / (time.perf_counter() - started)


@asynccontextmanager
async def started(
    port: int, environment: dict[str, str], *arguments: str
) -> AsyncIterator[tuple[grpc.aio.Channel, int]]:
    """A channel to a module, run as a process that listens on a port, and its id."""
    running = await asyncio.create_subprocess_exec(
        *child_command(*arguments), env={**os.environ, **environment}
    )
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            await asyncio.wait_for(channel.channel_ready(), START_TIMEOUT_SECONDS)
            yield channel, running.pid
    finally:
        running.terminate()
        await running.wait()


def raw_call(channel: grpc.aio.Channel, method: str) -> Any:
    """A call that sends and answers bytes: the same client for whatever is compared."""
    return channel.unary_unary(method, request_serializer=None, response_deserializer=None)


@asynccontextmanager
async def running_echo() -> AsyncIterator[tuple[grpc.aio.Channel, Meter]]:
    """A channel to an empty echo in a process of its own, and the processor time it takes."""
    port = free_port()
    async with started(port, {}, "bench.echo", str(port)) as (channel, pid):
        yield channel, meter_of(echo=pid)
