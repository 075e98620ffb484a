"""A running ledger service on a fresh database, a clock that tests set, and a client."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ledger.connections import read_connections
from ledger.limits import LIMITS, Limits
from ledger.seals import Seals
from runtime.clock import ManualClock
from runtime.connections import Connections
from tests.ledger.client import CREDIT_NORMAL, LedgerClient
from tests.ledger.running import HOUR_MS, START, OpenReplica, serving
from tests.plugin import NewDatabase


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def open_replica(clock: ManualClock) -> AsyncIterator[OpenReplica]:
    """Starts a service on a database; several may share one."""
    async with AsyncExitStack() as stack:

        async def start(url: str, limits: Limits = LIMITS, **more: Any) -> LedgerClient:
            served = await stack.enter_async_context(serving(url, clock, limits, **more))
            return served.client

        yield start


@pytest.fixture
def url(service_database: NewDatabase) -> str:
    """A fresh database."""
    return service_database("ledger")


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
