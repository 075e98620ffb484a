"""A gateway as it runs: real PostgreSQL, real gRPC, the Stripe twin, a compliance service that says
what it is told to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.__main__ import open_service
from gateway.config import DATABASE_ROLE, GatewaySettings
from gateway.operations.runner import Asked, Runner
from gateway.payments.store.group_commit import PaymentCommitter, commit_connections
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.migrations import migrate
from runtime.postgres import create_engine
from sandbox.stripe_twin.twin import Twin, running_twin
from tests.conftest import url_of
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop

OpenShop = Callable[..., AbstractAsyncContextManager[Shop]]
# Nobody listens there: the books wait, payments do not.
NO_LEDGER = "127.0.0.1:1"


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with running_twin(seed=1) as running:
        yield running


@pytest.fixture
async def compliance() -> AsyncIterator[FakeCompliance]:
    fake = FakeCompliance()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture(scope="session")
def template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database, to be copied: faster than migrating each anew."""
    name = f"template_gateway_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        asyncio.run(migrate(url_of(postgres_url, name), "gateway"))
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(postgres_url: str, template: str) -> Iterator[str]:
    name = f"test_gateway_{uuid.uuid4().hex[:12]}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
        yield url_of(postgres_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def open_shop(database_url: str, twin: Twin, compliance: FakeCompliance) -> OpenShop:
    """Opens a gateway on this test's database; several may be open at once."""

    @asynccontextmanager
    async def opened(
        clock: Clock | None = None, *, webhooks: bool = True, **changes: Any
    ) -> AsyncIterator[Shop]:
        account = twin.account()
        settings = GatewaySettings(
            **{
                "listen_address": "127.0.0.1:0",
                "http_address": "127.0.0.1:0",
                "database_url": SecretStr(database_url),
                "ledger_address": NO_LEDGER,
                "compliance_address": compliance.address,
                "compliance_timeout_seconds": 2.0,
                "stripe_api_key": SecretStr(account.secret_key),
                "stripe_api_base": twin.url,
                "stripe_webhook_secrets": SecretStr(account.webhook_secret),
                "drain_seconds": 5.0,
                **changes,
            }
        )
        async with open_service(settings, clock) as server:
            if webhooks:
                address = f"http://127.0.0.1:{server.http_port}"
                for connect in (False, True):
                    twin.register_webhook(f"{address}/webhooks/stripe/default", connect=connect)
            async with Shop.open(server.port) as shop:
                yield shop

    return opened


@pytest.fixture
async def shop(open_shop: OpenShop) -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


class DiedError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def killed_before_saving(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """While set, every process dies after the outside has answered and before that is saved."""
    dying = asyncio.Event()
    dying.set()
    save = Runner.finish

    async def die(self: Runner, asked: Asked) -> Any:
        if dying.is_set() and asked.operation.kind != "CHECK":
            raise DiedError
        return await save(self, asked)

    monkeypatch.setattr(Runner, "finish", die)
    return dying


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, role=DATABASE_ROLE, pool_size=4, application_name="test")
    yield engine
    await engine.dispose()


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Connections]:
    connections = commit_connections(database_url, DATABASE_ROLE)
    await connections.open()
    yield connections
    await connections.close()


@pytest.fixture
def committer(connections: Connections) -> PaymentCommitter:
    return PaymentCommitter(connections)
