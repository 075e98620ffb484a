"""A ledger with an address, and a warehouse of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.limits import Limits
from runtime.clock import ManualClock
from tests.ledger.running import START, Served, serving, write_history
from tests.plugin import NewDatabase
from tests.warehouse.stores import DuckDbStore, PostgresStore, Store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def served(service_database: NewDatabase, clock: ManualClock) -> AsyncIterator[Served]:
    """A service with a ledger that has everything; it records expiries only with what is booked."""
    still = Limits(sweep_interval_seconds=86_400.0)
    async with serving(service_database("ledger"), clock, still) as service:
        await write_history(service.client, clock)
        yield service


@pytest.fixture(params=["duckdb", "postgres"])
def store(
    request: pytest.FixtureRequest,
    new_database: NewDatabase,
    tmp_path: Path,
    clock: ManualClock,
) -> Store:
    if request.param == "duckdb":
        return DuckDbStore(tmp_path / "books.duckdb", clock)
    return PostgresStore(new_database("empty"), clock)
