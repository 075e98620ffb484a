"""The one plugin of fixtures: the real parts that tests of several packages use.

A PostgreSQL server, fresh databases, the Stripe twin, a gateway as it runs. What only one folder
uses is in that folder's `conftest.py`.

The server is the embedded one, unless `LEDGER_DATABASE_URL`, `GATEWAY_DATABASE_URL` or
`COMPLIANCE_DATABASE_URL` names another, in which tests then create and drop their databases.
"""

import asyncio
import gc
import os
import signal
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import DATABASE_ROLE
from gateway.limits import LIMITS, Limits
from runtime.clock import Clock
from runtime.migrations import migrate_to
from runtime.postgres import create_engine
from runtime.process import ALLOCATIONS_PER_COLLECTION
from sandbox import processes
from sandbox.database_copies import create_database
from sandbox.embedded_postgres import temporary_server
from sandbox.guardian import temporary_folder
from sandbox.stripe_twin.twin import Twin, running_twin
from tests.aws import aws_credentials
from tests.chaos.children import Nursery
from tests.commands import end_nursery
from tests.compiled_statements import share_compiled_statements
from tests.compliance.forked_builders import end_server
from tests.forked_services import ForkedServices
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop, RunningGateway, running_gateway
from tests.tracing import install_tracer

TESTS = Path(__file__).parent
# By how long they take, the longest first.
LONG_FOLDERS = ("e2e", "chaos")
URL_VARIABLES = ("LEDGER_DATABASE_URL", "GATEWAY_DATABASE_URL", "COMPLIANCE_DATABASE_URL")
NewDatabase = Callable[[str], str]
TemplateOf = Callable[[str], str]
# Enough for the test that claims with the most workers at once.
POOL_SIZE = 12


def pytest_configure() -> None:
    """Makes the process one of services: with their event loop, and with traces."""
    # A shell's background jobs ignore Ctrl-C, and so would the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A fork that becomes another program at once: gRPC must not begin its threads anew in it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    install_tracer()
    # As `runtime.process` has it, and a quarter quicker.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # How long one example takes says more about the machine than about the code.
    examples = int(os.environ.get("PROPERTY_EXAMPLES", "100"))
    settings.register_profile("any machine", deadline=None, max_examples=examples)
    settings.load_profile("any machine")
    share_compiled_statements()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes longest at the beginning of what a worker of pytest-xdist is given.

    Workers that are done take over from the end of what others have. So one worker plays the tests
    of whole engines, beside short ones, and most of them with the one engine that they share.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers < len(LONG_FOLDERS):
        return
    for worker, folder in enumerate(LONG_FOLDERS):
        long = [item for item in items if item.path.is_relative_to(TESTS / folder)]
        long.sort(key=_shares_an_engine)
        moved = set(long)
        items[:] = [item for item in items if item not in moved]
        begin = (len(items) + len(long)) * worker // workers
        items[begin:begin] = long


def _shares_an_engine(item: pytest.Item) -> bool:
    """Whether a test is one of those that share an engine, which burns processor time while others
    are played: so they come one after the other."""
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return "shared_databases" in names


def pytest_collection_finish() -> None:
    """Collects garbage as a service's process does once it is open.

    What a whole collection of tests has imported stays: to look at it again and again took an
    eighth of the processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION)


def pytest_sessionfinish() -> None:
    """Ends what a session starts once, outside of fixtures."""
    end_nursery()
    end_server()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a server in which we may create databases and roles."""
    given = [url for name in URL_VARIABLES if (url := os.environ.pop(name, None))]
    with nullcontext() if given else temporary_server() as server:
        url = given[0] if server is None else server.server_url
        yield url
        _maintenance(url).close()
        _maintenance.cache_clear()


class Databases:
    """Makes databases on the server and drops them with the fixture that made this."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._made: list[str] = []

    def make(self, prefix: str, template: str = "template1") -> str:
        """The URL of a new database, empty or a copy of a template."""
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"
        self._execute(create_database(name, template))
        self._made.append(name)
        return url_of(self._server_url, name)

    def drop(self) -> None:
        """Drops all that were made."""
        for name in self._made:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            self._execute(drop.format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        _maintenance(self._server_url).execute(statement)


@cache
def _maintenance(server_url: str) -> psycopg.Connection[Any]:
    """The connection by which all databases of a server are made and dropped: opening one for each
    cost as much as half of making a database."""
    return psycopg.connect(server_url, autocommit=True)


@pytest.fixture
def new_database(postgres_url: str) -> Iterator[NewDatabase]:
    """Makes empty databases, dropped after the test; called with a name's beginning."""
    databases = Databases(postgres_url)
    yield lambda prefix: databases.make(f"test_{prefix}")
    databases.drop()


@pytest.fixture(scope="session")
def template_of(postgres_url: str) -> Iterator[TemplateOf]:
    """Names a migrated database of a service, to be copied: faster than migrating anew."""
    databases = Databases(postgres_url)

    @cache
    def made(service: str) -> str:
        url = databases.make(f"template_{service}")
        migrate_to(url, service)
        return str(conninfo_to_dict(url)["dbname"])

    yield made
    databases.drop()


@pytest.fixture
def service_database(postgres_url: str, template_of: TemplateOf) -> Iterator[NewDatabase]:
    """Makes migrated databases, dropped after the test; called with a service's name."""
    databases = Databases(postgres_url)
    yield lambda service: databases.make(f"test_{service}", template_of(service))
    databases.drop()


@pytest.fixture
def database_url(service_database: NewDatabase) -> str:
    """A fresh database of the gateway, migrated."""
    return service_database("gateway")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections to that database, in the gateway's role."""
    opened = create_engine(
        database_url, role=DATABASE_ROLE, pool_size=POOL_SIZE, application_name="test"
    )
    yield opened
    await opened.dispose()


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    """A fresh Stripe twin on a free port."""
    async with running_twin(seed=1) as started:
        yield started


@pytest.fixture
async def compliance() -> AsyncIterator[FakeCompliance]:
    """A compliance service that says what it is told to."""
    fake = FakeCompliance()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def gateway(database_url: str, twin: Twin) -> AsyncIterator[RunningGateway]:
    """A gateway with nobody behind it but the database and the Stripe twin."""
    async with running_gateway(database_url, twin) as running:
        yield running


@pytest.fixture
def open_shop(database_url: str, twin: Twin, compliance: FakeCompliance) -> OpenShop:
    """Opens a gateway on this test's database and gives a client of it; several may be open."""

    @asynccontextmanager
    async def opened(
        clock: Clock | None = None,
        *,
        webhooks: bool = True,
        limits: Limits = LIMITS,
        **changes: Any,
    ) -> AsyncIterator[Shop]:
        settings = {
            "compliance_address": compliance.address,
            "compliance_timeout_seconds": 2.0,
            "drain_seconds": 5.0,
            **changes,
        }
        async with running_gateway(
            database_url, twin, clock, webhooks=webhooks, limits=limits, **settings
        ) as running:
            yield Shop(running.channel)

    return opened


@pytest.fixture(scope="session")
async def forked_services(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ForkedServices]:
    """Starts services as forks of one process."""
    async with Nursery.open(tmp_path_factory.mktemp("nursery") / "nursery.log") as nursery:
        yield ForkedServices(nursery)


@pytest.fixture
def services_are_forked(forked_services: ForkedServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `ServiceProcess` of the test is a fork."""
    monkeypatch.setattr(processes, "launch", forked_services.launch)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A folder with a short path that root's `nobody` can reach, as an embedded server wants it."""
    with temporary_folder() as folder:
        yield folder.path


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, and credentials that it takes."""
    # Only the few tests that need it wait for its modules.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with aws_credentials():
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def s3_url(s3_server: str) -> str:
    """A place in a bucket of its own, for `runtime/object_storage.py`."""
    bucket = f"test-{uuid.uuid4().hex}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{bucket}", method="PUT")):
        pass
    return f"s3://{bucket}/some/place?endpoint={s3_server}&region=us-east-1"
