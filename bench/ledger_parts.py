"""What the ledger's benchmarks share: the service in a process of its own, and its requests."""

import asyncio
import itertools
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import EntryInput
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.money_pb2 import Money
from ledger.v1.transaction_pb2 import TransactionInput
from runtime.embedded_postgres import temporary_server

LEDGER = "bench"
ACCOUNTS = 1_000
START_TIMEOUT_SECONDS = 60.0
MAX_MESSAGE_BYTES = 32 * 1024 * 1024

numbers = itertools.count()


@asynccontextmanager
async def ledger_service() -> AsyncIterator[tuple[Any, str]]:
    """A stub of a ledger with accounts, on a durable server of its own, and the database's URL."""
    with temporary_server(durable=True) as postgres:
        url = await asyncio.to_thread(postgres.database_url, "ledger_bench")
        port = free_port()
        environment = {
            "ENV": "sandbox",
            "LOG_LEVEL": "WARNING",
            "LEDGER_DATABASE_URL": url,
            "LEDGER_LISTEN_ADDRESS": f"127.0.0.1:{port}",
            "LEDGER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
        }
        async with process(port, environment, "ledger") as channel:
            stub = LedgerServiceStub(channel)
            await _set_up(stub)
            yield stub, url


async def _set_up(stub: Any) -> None:
    await stub.CreateLedger(ledgers.CreateLedgerRequest(request_id="bench", name=LEDGER))
    await stub.BatchCreateAccounts(
        accounts.BatchCreateAccountsRequest(
            request_id="accounts",
            ledger=LEDGER,
            accounts=[
                accounts.AccountInput(
                    name=account_name(number),
                    currency_code="EUR",
                    normal_balance=accounts.NORMAL_BALANCE_DEBIT,
                )
                for number in range(ACCOUNTS)
            ],
        )
    )


def account_name(number: int) -> str:
    """Names as they are in use: a path of some length."""
    return f"merchants/m_{number:06}/payable"


def transfer() -> TransactionInput:
    """The next transfer, over all accounts in turn."""
    number = next(numbers)
    amount = Money(currency_code="EUR", minor_units=1 + number % 1_000)
    return TransactionInput(
        entries=[
            EntryInput(
                account=account_name(number % ACCOUNTS), direction=DIRECTION_DEBIT, amount=amount
            ),
            EntryInput(
                account=account_name((number * 7 + 1) % ACCOUNTS),
                direction=DIRECTION_CREDIT,
                amount=amount,
            ),
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
async def process(
    port: int, environment: dict[str, str], module: str, *arguments: str
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `python -m module`, once it answers; the process ends with the block."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env={**os.environ, **environment}
    )
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            await asyncio.wait_for(channel.channel_ready(), START_TIMEOUT_SECONDS)
            yield channel
    finally:
        running.terminate()
        await running.wait()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
