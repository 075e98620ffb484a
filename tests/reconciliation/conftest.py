"""A database of reconciliation for each test, and who takes and matches items in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.part import DATABASE_ROLE
from runtime.migrations import migrate
from runtime.postgres import create_engine
from tests.plugin import Databases
from tests.reconciliation.books import Books

POOL_SIZE = 4


@pytest.fixture(scope="session")
def reconciliation_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    databases = Databases(postgres_url)
    url = databases.make("template_reconciliation")
    asyncio.run(migrate(url, "reconciliation"))
    yield str(conninfo_to_dict(url)["dbname"])
    databases.drop()


@pytest.fixture
def reconciliation_url(postgres_url: str, reconciliation_template: str) -> Iterator[str]:
    """A fresh database, migrated."""
    databases = Databases(postgres_url)
    yield databases.make("test_reconciliation", reconciliation_template)
    databases.drop()


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
