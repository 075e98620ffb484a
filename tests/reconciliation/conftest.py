"""A database of reconciliation for each test, who takes and matches items in it, and people who
work on it over a socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.__main__ import open_service
from reconciliation.config import ReconciliationSettings
from reconciliation.part import DATABASE_ROLE
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from runtime.postgres import create_engine
from sandbox.addresses import at
from sandbox.certificates import channel_credentials, make_certificates
from tests.plugin import NewDatabase
from tests.reconciliation.books import Books
from tests.reconciliation.people import PEOPLE, SIGNER

POOL_SIZE = 4


@pytest.fixture
def reconciliation_url(service_database: NewDatabase) -> str:
    """A fresh database, migrated."""
    return service_database("reconciliation")


@pytest.fixture
async def reconciliation_engine(reconciliation_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections in the service's role."""
    opened = create_engine(
        reconciliation_url, role=DATABASE_ROLE, pool_size=POOL_SIZE, application_name="test"
    )
    yield opened
    await opened.dispose()


@pytest.fixture
def books(reconciliation_engine: AsyncEngine) -> Books:
    """Items, matches and differences of the test."""
    return Books(reconciliation_engine)


@pytest.fixture
async def port(
    books: Books, reconciliation_url: str, tmp_path: Path
) -> AsyncIterator[tuple[int, Any]]:
    """A running service on the test's database and clock, and people's certificates."""
    names = ("reconciliation", *PEOPLE)
    files = make_certificates(tmp_path / "certificates", datetime.now(UTC), names)
    own = files["reconciliation"]
    settings = ReconciliationSettings(
        ledger_address="",
        gateway_address="",
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        database_url=reconciliation_url,
        signing_key=SIGNER.secret_text(),
        tls_certificate_file=own.certificate,
        tls_key_file=own.key,
        tls_ca_file=own.ca,
        client_roles={
            "ann.example": "operator",
            "bob.example": "operator",
            "fin.example": "finance",
        },
    )
    async with open_service(settings, books.clock) as server:
        yield server.port, files


@pytest.fixture
async def open_stub(port: tuple[int, Any]) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    number, files = port
    async with AsyncExitStack() as stack:

        async def opened(name: str, make: Any = ReconciliationServiceStub) -> Any:
            channel = grpc.aio.secure_channel(at(number), channel_credentials(files[name]))
            return make(await stack.enter_async_context(channel))

        yield opened


@pytest.fixture
async def ann(open_stub: Callable[..., Awaitable[Any]]) -> Any:
    return await open_stub("ann.example")


@pytest.fixture
async def bob(open_stub: Callable[..., Awaitable[Any]]) -> Any:
    return await open_stub("bob.example")
