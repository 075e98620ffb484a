"""A compliance service for each test: a real database, real sockets, a clock that stands."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest

from compliance.__main__ import open_service
from compliance.config import BUNDLED_SDN_FILE, ComplianceSettings
from runtime.clock import ManualClock
from tests.compliance.guard import Guard
from tests.compliance.merchant_server import FakeMerchants, serve_merchants
from tests.conftest import NewDatabase

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
# Background work runs when a test asks for it, never on its own.
NEVER_SECONDS = 3600.0


class OpenGuard(Protocol):
    """Opens a service; keyword arguments are settings."""

    def __call__(self, **settings: Any) -> Any: ...


@pytest.fixture
def sdn_folder(tmp_path: Path) -> Path:
    """A copy of the synthetic list that a test may break."""
    folder = tmp_path / "sdn"
    shutil.copytree(BUNDLED_SDN_FILE.parent, folder)
    return folder


@pytest.fixture
def open_guard(new_database: NewDatabase, sdn_folder: Path) -> OpenGuard:
    url = new_database("compliance")
    clock = ManualClock(START)

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[Guard]:
        merchants = FakeMerchants(clock)  # type: ignore[abstract]
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(serve_merchants(merchants))
            settings = ComplianceSettings(
                **{
                    "listen_address": "127.0.0.1:0",
                    "http_address": "127.0.0.1:0",
                    "database_url": url,
                    "gateway_address": address,
                    "sdn_file": sdn_folder / "sdn.csv",
                    "list_interval_seconds": NEVER_SECONDS,
                    "screening_interval_seconds": NEVER_SECONDS,
                    "snapshot_interval_seconds": NEVER_SECONDS,
                    **changes,
                }
            )
            server = await stack.enter_async_context(open_service(settings, clock))
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
            )
            yield Guard(channel, clock, merchants, url, sdn_folder)

    return opened


@pytest.fixture
async def guard(open_guard: OpenGuard) -> AsyncIterator[Guard]:
    async with open_guard() as opened:
        yield opened
