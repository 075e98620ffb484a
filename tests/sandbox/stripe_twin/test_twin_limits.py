"""Stripe's limits of load, at their edges: each 429 comes before the idempotency layer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from runtime.clock import ManualClock
from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin, running_twin
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still, so that a second lasts as long as the test wants."""
    return ManualClock(datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture
async def twin(clock: ManualClock) -> AsyncIterator[Twin]:
    """A twin in the time of that clock."""
    async with running_twin(clock=clock, seed=1) as started:
        yield started


@pytest.fixture
async def shop(twin: Twin) -> AsyncIterator[Shop]:
    """A merchant that uses the default account."""
    async with open_shop(twin, DEFAULT_ACCOUNT.secret_key) as opened:
        yield opened


async def limited(request: Any) -> tuple[str | None, str]:
    """The code and the reason with which a request is refused as too much."""
    with pytest.raises(stripe.RateLimitError) as caught:
        await request
    assert caught.value.http_status == 429
    assert caught.value.error is not None
    headers = caught.value.headers
    assert headers is not None
    return caught.value.error.code, headers.get("Stripe-Rate-Limited-Reason", "")


async def test_an_account_gets_so_many_requests_a_second(
    shop: Shop, twin: Twin, clock: ManualClock
) -> None:
    twin.settings.requests_per_second = 3
    key = fresh_key()
    for _ in range(3):
        await shop.api.balance.retrieve_async()
    assert await limited(shop.pay(options=key)) == ("rate_limit", "global-rate")
    clock.advance(timedelta(seconds=1))
    assert (await shop.pay(options=key)).status == "succeeded"


async def test_an_endpoint_gets_so_many_requests_a_second(shop: Shop, twin: Twin) -> None:
    twin.settings.endpoint_requests_per_second = 2
    await shop.pay()
    await shop.pay()
    assert await limited(shop.pay()) == ("rate_limit", "endpoint-rate")
    assert (await shop.api.balance.retrieve_async()).object == "balance"


async def test_an_intent_gets_so_many_updates_an_hour(
    shop: Shop, twin: Twin, clock: ManualClock
) -> None:
    assert twin.settings.intent_updates_per_hour == 1_000
    twin.settings.intent_updates_per_hour = 2
    held = await shop.authorize()
    update = shop.api.payment_intents.update_async
    for number in ("1", "2"):
        await update(held.id, {"metadata": {"number": number}}, fresh_key())
    assert await limited(update(held.id, {"metadata": {}}, fresh_key())) == (
        "rate_limit",
        "resource-specific",
    )
    other = await shop.authorize()
    assert (await shop.capture(other.id)).status == "succeeded"
    clock.advance(timedelta(hours=1))
    assert (await shop.capture(held.id)).status == "succeeded"


async def test_so_many_requests_are_under_way_at_once(shop: Shop, twin: Twin) -> None:
    twin.settings.concurrent_requests = 1
    twin.add_fault(kind="hang", count=1)
    hanging = asyncio.ensure_future(shop.pay())
    async with asyncio.timeout(10):
        await twin.requests.wait_for(lambda seen: len(seen) == 1)
    assert await limited(shop.pay()) == ("rate_limit", "global-concurrency")
    twin.faults.clear()
    with pytest.raises(stripe.APIConnectionError):
        await hanging
    assert (await shop.pay()).status == "succeeded"


async def test_an_object_is_acted_on_by_one_request_at_a_time(shop: Shop, twin: Twin) -> None:
    held, other = await shop.authorize(), await shop.authorize()
    twin.settings.object_locks = True
    twin.add_fault(kind="hang", when="after", method="POST", count=1)
    before = len(twin.requests.seen)
    capturing = asyncio.ensure_future(shop.capture(held.id))
    async with asyncio.timeout(10):
        await twin.requests.wait_for(lambda seen: len(seen) > before and seen[-1].acted)
    cancel = shop.api.payment_intents.cancel_async
    assert await limited(cancel(held.id, None, fresh_key())) == ("lock_timeout", "")
    assert (await cancel(other.id, None, fresh_key())).status == "canceled"
    assert (await shop.api.payment_intents.retrieve_async(held.id)).status == "succeeded"
    twin.faults.clear()
    with pytest.raises(stripe.APIConnectionError):
        await capturing
    with pytest.raises(stripe.InvalidRequestError, match="succeeded"):
        await cancel(held.id, None, fresh_key())
