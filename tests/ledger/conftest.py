"""A running ledger service on a fresh database, a clock that tests set, and a client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from runtime.client import open_channel
from runtime.clock import ManualClock
from tests.conftest import NewDatabase
from tests.ledger.client import CREDIT_NORMAL, LedgerClient

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
OpenReplica = Callable[[str], Awaitable[LedgerClient]]


def settings_for(url: str) -> LedgerSettings:
    """Settings of a ledger on that database, on free ports."""
    return LedgerSettings(
        listen_address="127.0.0.1:0", http_address="127.0.0.1:0", database_url=url
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def open_replica(clock: ManualClock) -> AsyncIterator[OpenReplica]:
    """Starts a service on a database; several may share one."""
    async with AsyncExitStack() as stack:

        async def start(url: str) -> LedgerClient:
            settings = settings_for(url)
            server = await stack.enter_async_context(open_service(settings, clock))
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
