"""A compliance service for each test: a real database, real sockets, a clock that stands."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from compliance.config import BUNDLED_SDN_FILE
from runtime.clock import ManualClock
from tests.compliance.guard import Guard, running_guard
from tests.plugin import NewDatabase

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


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
def open_guard(service_database: NewDatabase, sdn_folder: Path) -> OpenGuard:
    url = service_database("compliance")
    clock = ManualClock(START)

    def opened(**changes: Any) -> AbstractAsyncContextManager[Guard]:
        return running_guard(url, clock, sdn_folder, **changes)

    return opened


@pytest.fixture
async def guard(open_guard: OpenGuard) -> AsyncIterator[Guard]:
    async with open_guard() as opened:
        yield opened
