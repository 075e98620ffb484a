"""Backups of a gateway's database, a ledger, and the recovery."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.config import GatewaySettings
from gateway.recovery.command import open_recovery
from gateway.recovery.guard import RestoreGuard
from ledger.__main__ import open_service as open_ledger
from ledger.config import LedgerSettings
from runtime.clock import Clock, SystemClock
from runtime.migrations import prepare_database
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup, backup_of
from tests.gateway.running import NOWHERE
from tests.plugin import NewDatabase


@pytest.fixture
def backup(postgres_url: str, database_url: str) -> Iterator[Backup]:
    with backup_of(postgres_url, database_url) as backup:
        yield backup


@pytest.fixture
async def ledger_address(service_database: NewDatabase) -> AsyncIterator[str]:
    settings = LedgerSettings(
        database_url=SecretStr(service_database("ledger")),
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
    )
    async with open_ledger(settings) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def recover(database_url: str, twin: Twin, ledger_address: str) -> Callable[..., Any]:
    """Runs what `python -m gateway recover` runs, by another clock perhaps; the lines that it
    prints."""

    async def run(clock: Clock | None = None) -> list[str]:
        lines: list[str] = []
        account = twin.account()
        settings = GatewaySettings(
            database_url=SecretStr(database_url),
            compliance_address=NOWHERE,
            ledger_address=ledger_address,
            stripe_api_key=SecretStr(account.secret_key),
            stripe_api_base=twin.url,
            stripe_webhook_secrets=SecretStr(account.webhook_secret),
        )
        url = await prepare_database(settings)
        async with open_recovery(url, settings, clock or SystemClock(), lines.append) as recovery:
            await recovery.run()
        return lines

    return run


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard's look at the start finds nothing."""

    async def compare(_guard: RestoreGuard, _corridor: str, _since: object) -> bool:
        return True

    monkeypatch.setattr(RestoreGuard, "_compare", compare)
