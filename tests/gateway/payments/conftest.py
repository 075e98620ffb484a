"""A shop of the test's own, a process that dies before it saves, and what writes payments."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.config import DATABASE_ROLE
from gateway.operations.kind import Asked
from gateway.operations.runner import Runner
from gateway.payments.store.group_commit import PaymentCommitter, commit_connections
from runtime.connections import Connections
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop


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
async def connections(database_url: str) -> AsyncIterator[Connections]:
    connections = commit_connections(database_url, DATABASE_ROLE)
    yield connections
    await connections.close()


@pytest.fixture
def committer(connections: Connections) -> PaymentCommitter:
    return PaymentCommitter(connections)
