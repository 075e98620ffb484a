"""A running ledger service on a fresh database, a clock that tests set, and a client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from ledger.connections import read_connections
from ledger.limits import LIMITS, Limits
from ledger.notes import SignerKey
from ledger.seals import Seals
from runtime.client import open_channel
from runtime.clock import ManualClock
from runtime.connections import Connections
from tests.conftest import NewDatabase
from tests.ledger.client import CREDIT_NORMAL, LedgerClient

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
# Seals for the first time in an hour: not while a test runs.
HOUR_MS = 3_600_000
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


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def open_replica(clock: ManualClock) -> AsyncIterator[OpenReplica]:
    """Starts a service on a database; several may share one."""
    async with AsyncExitStack() as stack:

        async def start(url: str, limits: Limits = LIMITS, **more: Any) -> LedgerClient:
            settings = settings_for(url, **more)
            server = await stack.enter_async_context(open_service(settings, clock, limits))
            channel = await stack.enter_async_context(
                open_channel(f"127.0.0.1:{server.port}", settings, idempotent_services=[])
            )
            return LedgerClient(channel)

        yield start


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """A fresh database."""
    return new_database("ledger")


@pytest.fixture
async def client(open_replica: OpenReplica, url: str) -> LedgerClient:
    """A client of a service with one ledger, without accounts."""
    client = await open_replica(url)
    await client.create_ledger()
    return client


@pytest.fixture
async def bank(client: LedgerClient) -> LedgerClient:
    """The same with some accounts: cash and receivables grow by debits, the payables by credits."""
    await client.account("cash")
    await client.account("receivable")
    await client.account("payable", CREDIT_NORMAL)
    await client.account("wallet", CREDIT_NORMAL, min_available_minor=0)
    return client


@pytest.fixture
async def reads(url: str) -> AsyncIterator[Connections]:
    connections = read_connections(url, 4)
    await connections.open()
    yield connections
    await connections.close()


@pytest.fixture
def seals(reads: Connections) -> Seals:
    return Seals(reads)


@pytest.fixture
async def unsealed(open_replica: OpenReplica, url: str) -> LedgerClient:
    """A service that seals for the first time in an hour; the tests do it before."""
    client = await open_replica(url, seal_interval_ms=HOUR_MS)
    await client.create_ledger()
    await client.account("cash")
    await client.account("safe")
    return client
