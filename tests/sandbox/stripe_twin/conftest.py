"""A twin per test, and the real SDK as its client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin, running_twin
from tests.sandbox.stripe_twin.shop import Shop


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    """A fresh twin on a free port; its books must be sound when the test is over."""
    async with running_twin(seed=1) as started:
        yield started
        started.books()


@pytest.fixture
async def shop(twin: Twin) -> AsyncIterator[Shop]:
    """A merchant that uses the default account."""
    async with open_shop(twin, DEFAULT_ACCOUNT.secret_key) as opened:
        yield opened


@asynccontextmanager
async def open_shop(twin: Twin, key: str) -> AsyncIterator[Shop]:
    """A merchant with a secret key."""
    async with aiohttp.ClientSession() as session:
        client = stripe.StripeClient(
            key,
            base_addresses={"api": twin.url, "files": twin.url},
            http_client=stripe.AIOHTTPClient(timeout=10, session=session),
            max_network_retries=0,
        )
        yield Shop(client, twin)
