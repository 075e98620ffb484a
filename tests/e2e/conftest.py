"""One running engine for the tests that leave it whole, and the parts to start others."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.addresses import Ports
from sandbox.clients import Clients, open_clients
from sandbox.databases import PAYING
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine
from sandbox.twin_admin import TwinAdmin
from tests.forked_services import ForkedServices
from tests.plugin import Databases, TemplateOf


@pytest.fixture(scope="package", autouse=True)
def engines_are_forked(forked_services: ForkedServices) -> Iterator[None]:
    """Every `ServiceProcess` of these tests is a fork, whoever starts it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "launch", forked_services.launch)
        yield


@contextmanager
def migrated_databases(
    postgres_url: str, template_of: TemplateOf, services: Sequence[str] = PAYING
) -> Iterator[dict[str, str]]:
    """Databases that have their tables and nothing else, as environment variables. That services
    make their tables themselves is told by `test_alone.py` and by those who run the commands."""
    databases = Databases(postgres_url)
    try:
        urls = {
            service: databases.make(f"test_{service}", template_of(service)) for service in services
        }
        yield {
            f"{service.upper()}_{name}": url
            for service, url in urls.items()
            for name in ("DATABASE_URL", "OWNER_DATABASE_URL")
        }
    finally:
        databases.drop()


@pytest.fixture
def databases(postgres_url: str, template_of: TemplateOf) -> Iterator[dict[str, str]]:
    """Databases for the three services."""
    with migrated_databases(postgres_url, template_of) as databases:
        yield databases


@pytest.fixture(scope="package")
def shared_databases(postgres_url: str, template_of: TemplateOf) -> Iterator[dict[str, str]]:
    """The databases of the shared engine."""
    with migrated_databases(postgres_url, template_of) as databases:
        yield databases


@pytest.fixture(scope="package")
async def engine(
    shared_databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    """An engine that all tests share: do not break it."""
    logs = tmp_path_factory.mktemp("engine")
    async with running_engine(Ports.free(), logs, shared_databases) as engine:
        yield engine


@pytest.fixture
async def own_engine(databases: dict[str, str], tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine of the test's own, to be broken."""
    async with running_engine(Ports.free(), tmp_path, databases) as engine:
        yield engine


@pytest.fixture
async def clients(engine: Engine) -> AsyncIterator[Clients]:
    """Stubs of the shared engine's services."""
    async with open_clients(engine.ports) as clients:
        yield clients


@pytest.fixture
async def twin(engine: Engine) -> AsyncIterator[TwinAdmin]:
    """The shared engine's Stripe twin."""
    async with TwinAdmin.open(engine.twin_url) as twin:
        yield twin


@pytest.fixture
async def shop(clients: Clients, twin: TwinAdmin) -> Shop:
    """A client of the shared engine."""
    return Shop(clients, twin)


@pytest.fixture
async def parties(shop: Shop) -> Parties:
    """A merchant that may be paid and a customer that may pay."""
    return Parties(
        merchant=await shop.add_merchant("Fern & Finch Bookshop LLC"),
        customer=await shop.add_customer("Ada Mapleton"),
    )
