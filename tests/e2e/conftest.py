"""One running engine for the tests that leave it whole, and the parts to start others."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandbox.addresses import Ports
from sandbox.clients import Clients, open_clients
from sandbox.databases import PAYING, databases_beside
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine
from sandbox.twin_admin import TwinAdmin


@pytest.fixture
def databases(postgres_url: str) -> Iterator[dict[str, str]]:
    """Empty databases for the three services, as environment variables."""
    with databases_beside(dict.fromkeys(PAYING, postgres_url)) as databases:
        yield databases


@pytest.fixture(scope="package")
def shared_databases(postgres_url: str) -> Iterator[dict[str, str]]:
    """The databases of the shared engine."""
    with databases_beside(dict.fromkeys(PAYING, postgres_url)) as databases:
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
