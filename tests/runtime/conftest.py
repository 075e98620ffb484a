"""A server of these tests' own, whose commits they may let stand."""

import uuid
from collections.abc import Iterator

import pytest

from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server


@pytest.fixture(scope="session")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server without other clients: their commits would stand as well, and be counted."""
    with temporary_server() as server:
        yield server


@pytest.fixture
def own_database(own_server: EmbeddedPostgres) -> str:
    """The URL of a new database of that server."""
    return own_server.database_url(f"test_{uuid.uuid4().hex[:12]}")
