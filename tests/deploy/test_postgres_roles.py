"""The roles that the database container makes: enough to migrate and to serve, no more."""

import base64
import hashlib
import hmac
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from runtime.database import Database
from runtime.durability import Cause
from runtime.durability_watch import DurabilityWatch
from runtime.migrations import migrate
from sandbox.credentials import make_credentials
from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server
from sandbox.postgres_wheel import binaries
from tests.deploy.compose import OWN_SERVICES, PROJECT


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the database's container is given."""
    directory = tmp_path_factory.mktemp("credentials")
    make_credentials(directory, datetime.now(UTC))
    return directory / "postgres"


@pytest.fixture(scope="module")
def server(credentials: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own, because roles belong to the whole server."""
    with temporary_server() as server:
        subprocess.run(
            ["bash", PROJECT / "deploy/postgres/create_databases.sh"],
            env={
                "PATH": f"{binaries()}:{os.environ['PATH']}",
                "PGHOST": str(server.socket_directory),
                "POSTGRES_USER": "postgres",
                "CREDENTIALS_DIRECTORY": str(credentials),
            },
            check=True,
        )
        yield server


@dataclass(frozen=True)
class Scram:
    """What PostgreSQL keeps of a password: https://www.rfc-editor.org/rfc/rfc5803"""

    iterations: int
    salt: bytes
    stored_key: bytes

    @classmethod
    def read(cls, kept: str) -> "Scram":
        _, how, keys = kept.split("$")
        iterations, salt = how.split(":")
        stored = keys.split(":")[0]
        return cls(int(iterations), base64.b64decode(salt), base64.b64decode(stored))

    def is_of(self, password: str) -> bool:
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), self.salt, self.iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        return hashlib.sha256(client_key).digest() == self.stored_key


def passwords_in(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in directory.iterdir()}


async def test_each_login_has_a_password_of_its_own(
    server: EmbeddedPostgres, credentials: Path
) -> None:
    connection = await Database(
        f"postgresql://postgres@/postgres?host={server.socket_directory}"
    ).connect(role=None, application_name="test")
    async with connection:
        cursor = await connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND rolname <> 'postgres'"
        )
        kept = {name: Scram.read(password) for name, password in await cursor.fetchall()}
    passwords = passwords_in(credentials)
    logins = {f"{service}_{role}" for service in OWN_SERVICES for role in ("owner", "login")}
    assert kept.keys() == logins
    for login in logins:
        opened = [name for name, password in passwords.items() if kept[login].is_of(password)]
        assert opened == [login]


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


@pytest.mark.parametrize("service", OWN_SERVICES)
async def test_the_watch_sees_standbys_and_the_service_does_not(
    server: EmbeddedPostgres, service: str
) -> None:
    watch = DurabilityWatch()
    database = Database(url(server, service, "login"), durability=watch)
    await database.loop().attempt()
    # It may see that there are none.
    assert watch.statement.cause in {Cause.FSYNC_OFF, Cause.NO_STANDBY_NAMED}
    assert watch.sees_standbys
    session = await database.connect(role=f"{service}_service", application_name="test")
    async with session:
        cursor = await session.execute(
            "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
        )
        assert await cursor.fetchone() == (False,)


async def test_a_service_cannot_enter_anothers_database(server: EmbeddedPostgres) -> None:
    foreign = f"postgresql://gateway_login@/ledger?host={server.socket_directory}"
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        await Database(foreign).connect(role=None, application_name="test")
