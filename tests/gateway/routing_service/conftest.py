"""A gateway with two Stripe accounts that share tokens, and routing as a test wants it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.routing_service import chooser
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop

SHARED = {"failover_to": ["backup"], "shared_tokens_with": ["backup"]}
RoutedShop = Callable[..., AbstractAsyncContextManager[Shop]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a while is no database that does not answer."""
    monkeypatch.setattr(chooser, "READ_SECONDS", 30.0)


@pytest.fixture
def corridors_file(twin: Twin, tmp_path: Path) -> Path:
    """The corridors `default`, which fails over, and `backup`."""
    file = tmp_path / "corridors.json"
    declared = [
        {
            "name": name,
            "api_key": twin.account(name).secret_key,
            "api_base": twin.url,
            "webhook_secrets": [twin.account(name).webhook_secret],
            **values,
        }
        for name, values in (("default", SHARED), ("backup", {}))
    ]
    file.write_text(json.dumps(declared), encoding="utf-8")
    return file


@pytest.fixture
def routed_shop(open_shop: OpenShop, corridors_file: Path) -> RoutedShop:
    """Opens a gateway on these corridors."""

    @asynccontextmanager
    async def opened(routing: str = "staged", **settings: Any) -> AsyncIterator[Shop]:
        async with open_shop(
            stripe_corridors_file=corridors_file,
            routing=routing,
            **{"call_seconds": 5.0, **settings},
        ) as shop:
            yield shop

    return opened
