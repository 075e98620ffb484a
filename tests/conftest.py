"""The real parts that tests use: a PostgreSQL server, and a fresh database wherever one is wanted.

The server is the embedded one, unless `LEDGER_DATABASE_URL`, `GATEWAY_DATABASE_URL` or
`COMPLIANCE_DATABASE_URL` names another, in which tests then create and drop their databases.
"""

import os
import signal
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import settings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sandbox.embedded_postgres import temporary_server

URL_VARIABLES = ("LEDGER_DATABASE_URL", "GATEWAY_DATABASE_URL", "COMPLIANCE_DATABASE_URL")
NewDatabase = Callable[[str], str]


def pytest_configure() -> None:
    """Gives every call a trace, as each service's process does."""
    # A shell's background jobs ignore Ctrl-C, and so would the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A fork that becomes another program at once: gRPC must not begin its threads anew in it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    trace.set_tracer_provider(TracerProvider())
    # How long one example takes says more about the machine than about the code.
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a server in which we may create databases and roles."""
    given = [url for name in URL_VARIABLES if (url := os.environ.pop(name, None))]
    if given:
        yield given[0]
        return
    with temporary_server() as server:
        yield server.server_url


@pytest.fixture
def new_database(postgres_url: str) -> Iterator[NewDatabase]:
    """Makes empty databases, dropped after the test; called with a service's name."""
    made: list[str] = []

    def make(service: str) -> str:
        name = f"test_{service}_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        return url_of(postgres_url, name)

    yield make
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in made:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def url_of(server_url: str, database: str) -> str:
    """The server's URL with another database; a URL, because SQLAlchemy reads no conninfo."""
    parts = conninfo_to_dict(make_conninfo(server_url, dbname=database))
    host, port = str(parts.get("host", "")), str(parts.get("port", "5432"))
    login = str(parts.get("user", ""))
    if "password" in parts:
        login += f":{parts['password']}"
    if host.startswith("/"):
        return f"postgresql://{login}@/{database}?host={host}&port={port}"
    return f"postgresql://{login}@{host}:{port}/{database}"
