"""The roles that the database container makes: enough to migrate and to serve, no more."""

import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from runtime.database import Database
from runtime.migrations import migrate
from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server
from sandbox.postgres_wheel import binaries
from tests.deploy.compose import OWN_SERVICES, PROJECT


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of its own, because roles belong to the whole server."""
    with temporary_server() as server:
        subprocess.run(
            ["bash", PROJECT / "deploy/postgres/create_databases.sh"],
            env={
                "PATH": f"{binaries()}:{os.environ['PATH']}",
                "PGHOST": str(server.socket_directory),
                "POSTGRES_USER": "postgres",
                "SERVICE_DATABASE_PASSWORD": "it's secret",
            },
            check=True,
        )
        yield server


def url(server: EmbeddedPostgres, service: str, role: str) -> str:
    return f"postgresql://{service}_{role}@/{service}?host={server.socket_directory}"


@pytest.mark.parametrize("service", OWN_SERVICES)
async def test_the_owner_migrates_and_the_login_serves(
    server: EmbeddedPostgres, service: str
) -> None:
    await migrate(url(server, service, "owner"), service)
    connection = await Database(url(server, service, "login")).connect(
        role=f"{service}_service", application_name="test"
    )
    async with connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace AND has_table_privilege(oid, 'SELECT')"
        )
        readable = await cursor.fetchone()
        assert readable is not None
        assert readable[0] > 0


@pytest.mark.parametrize("service", OWN_SERVICES)
async def test_the_login_alone_may_do_nothing(server: EmbeddedPostgres, service: str) -> None:
    await migrate(url(server, service, "owner"), service)
    connection = await Database(url(server, service, "login")).connect(
        role=None, application_name="test"
    )
    async with connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("CREATE TABLE mine (id int)")


async def test_a_service_cannot_enter_anothers_database(server: EmbeddedPostgres) -> None:
    foreign = f"postgresql://gateway_login@/ledger?host={server.socket_directory}"
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        await Database(foreign).connect(role=None, application_name="test")
