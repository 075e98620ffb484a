"""An account, a service that takes its statements, and what tests say to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from reconciliation.__main__ import open_service
from reconciliation.bank import taking
from reconciliation.config import ReconciliationSettings
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from reconciliation.v1.statement_service_pb2_grpc import StatementServiceStub
from sandbox.addresses import at
from tests.reconciliation.bank.files import ACCOUNTS
from tests.reconciliation.bank.reading_here import open_reading_here
from tests.reconciliation.books import Books


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(ACCOUNTS, encoding="utf-8")
    return path


@pytest.fixture
def bank_settings(reconciliation_url: str, accounts_file: Path) -> dict[str, Any]:
    """Settings of a service that takes statements."""
    return {
        "ledger_address": "",
        "gateway_address": "",
        "listen_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "database_url": reconciliation_url,
        "bank_accounts_file": accounts_file,
    }


@pytest.fixture
def reads_beside() -> None:
    """For a test that has files read by another process, as they are."""


@pytest.fixture(autouse=True)
def reading_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process unless the test wants it otherwise."""
    if "reads_beside" not in request.fixturenames:
        monkeypatch.setattr(taking, "open_reading", open_reading_here)


class Bank:
    """A running service and its stubs."""

    def __init__(self, books: Books, channel: grpc.aio.Channel) -> None:
        self.books = books
        self.statements: Any = StatementServiceStub(channel)
        self.breaks: Any = ReconciliationServiceStub(channel)


@pytest.fixture
async def bank(books: Books, bank_settings: dict[str, Any]) -> AsyncIterator[Bank]:
    async with AsyncExitStack() as stack:
        settings = ReconciliationSettings(**bank_settings)
        server = await stack.enter_async_context(open_service(settings, books.clock))
        channel = grpc.aio.insecure_channel(at(server.port))
        yield Bank(books, await stack.enter_async_context(channel))
