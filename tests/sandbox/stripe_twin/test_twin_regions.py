"""Several accounts and regions: each suffers by itself, and suffers the same again for a seed."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import aiohttp
import pytest
import stripe

from runtime.clock import ManualClock
from sandbox.stripe_twin import (
    ALL_ACCOUNTS,
    BACKUP_ACCOUNT,
    DEFAULT_ACCOUNT,
    EUROPE_ACCOUNT,
    JAPAN_ACCOUNT,
    Twin,
    running_twin,
)
from sandbox.stripe_twin.faults import (
    MAX_LATENCY_SECONDS,
    Distribution,
    Latency,
    ramp_seconds,
)
from sandbox.twin_admin import TwinAdmin
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.merchants import onboarded_account
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DRAWS = 20_000


@pytest.mark.parametrize("account", ALL_ACCOUNTS, ids=lambda account: account.name)
async def test_each_account_has_its_country_and_currency(twin: Twin, account: Any) -> None:
    twin.set_latency(account.name, Latency())
    async with open_shop(twin, account.secret_key) as shop:
        current = await shop.api.accounts.retrieve_current_async()
        assert (current.id, current.country) == (account.account_id, account.country)
        assert current.default_currency == account.default_currency
        balance = await shop.api.balance.retrieve_async()
        assert [item.currency for item in balance.available] == [account.default_currency]


async def test_a_far_region_answers_late_and_only_it(twin: Twin) -> None:
    async with (
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as near,
        open_shop(twin, JAPAN_ACCOUNT.secret_key) as far,
    ):
        twin.set_latency("japan", Latency(seconds=60.0))
        waiting = asyncio.ensure_future(far.api.balance.retrieve_async())
        assert (await near.pay()).status == "succeeded"
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_brown_out_of_one_account_leaves_the_others_healthy(twin: Twin) -> None:
    async with (
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as sick,
        open_shop(twin, BACKUP_ACCOUNT.secret_key) as healthy,
        open_shop(twin, EUROPE_ACCOUNT.secret_key) as europe,
    ):
        account = await onboarded_account(sick)
        fault = twin.add_fault(kind="brown_out", account="default", end_seconds=60.0)
        paid = asyncio.ensure_future(sick.pay())
        below = asyncio.ensure_future(sick.pay(options=fresh_key(account)))
        assert (await healthy.pay()).status == "succeeded"
        assert (await europe.pay(currency="eur")).status == "succeeded"
        assert not paid.done()
        assert not below.done()
        assert twin.faults.listed()[0].hits == 2
        twin.faults.clear(fault)
        for task in (paid, below):
            task.cancel()
        await asyncio.gather(paid, below, return_exceptions=True)


async def test_a_brown_out_ramps_in_the_twins_time_and_ends() -> None:
    clock = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
    async with running_twin(clock=clock, seed=1) as twin:
        twin.add_fault(
            kind="brown_out",
            seconds=0.05,
            end_seconds=20.0,
            ramp_seconds=60.0,
            starts_after_seconds=10.0,
            lasts_seconds=120.0,
        )
        (active,) = twin.faults.listed()
        request = ("GET", "/v1/balance", twin.account().names)
        assert not active.matches(*request)
        clock.advance(timedelta(seconds=10))
        assert active.matches(*request)
        waits = [active.delay_seconds()]
        for _ in range(3):
            clock.advance(timedelta(seconds=30))
            waits.append(active.delay_seconds())
        assert waits == pytest.approx([0.05, 1.0, 20.0, 20.0])
        clock.advance(timedelta(seconds=29))
        assert active.matches(*request)
        clock.advance(timedelta(seconds=1))
        assert not active.matches(*request)


def test_a_ramp_from_nothing_is_linear() -> None:
    assert [ramp_seconds(0.0, 2.0, elapsed, 4.0) for elapsed in (-1, 0, 1, 4, 9)] == [
        0.0,
        0.0,
        0.5,
        2.0,
        2.0,
    ]


@pytest.mark.parametrize("distribution", Distribution)
def test_the_jitter_has_its_mean_whatever_its_distribution(distribution: Distribution) -> None:
    latency = Latency(seconds=0.1, jitter_seconds=0.05, distribution=distribution)
    chance = Random(1)
    draws = [latency.draw(chance) for _ in range(DRAWS)]
    assert min(draws) >= 0.1
    assert max(draws) <= MAX_LATENCY_SECONDS
    assert sum(draws) / DRAWS == pytest.approx(0.15, rel=0.1)


async def outcomes(seed: int) -> list[str]:
    """What twenty payments suffer from two faults that hit by chance."""
    async with (
        running_twin(seed=seed) as twin,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
    ):
        twin.add_fault(kind="reset", probability=0.3)
        twin.add_fault(kind="error", when="after", probability=0.4)
        suffered = []
        for _ in range(20):
            try:
                await shop.pay()
                suffered.append("paid")
            except stripe.StripeError as error:
                suffered.append(type(error).__name__)
        return suffered


async def test_a_seed_replays_what_was_suffered() -> None:
    first, again, other = await outcomes(7), await outcomes(7), await outcomes(8)
    assert first == again
    assert first != other
    assert set(first) == {"paid", "APIConnectionError", "APIError"}


async def test_the_admin_api_sets_latencies_and_shows_posts_by_key(shop: Shop, twin: Twin) -> None:
    async with TwinAdmin.open(twin.url) as admin:
        await admin.set_latency("backup", 0.25, jitter_seconds=0.1, distribution="pareto")
        assert twin.account("backup").latency.distribution is Distribution.PARETO
        key = fresh_key()
        await admin.add_fault(kind="reset", when="after", count=1, account="default")
        with pytest.raises(stripe.APIConnectionError):
            await shop.pay(options=key)
        await shop.pay(options=key)
        use = await admin.posts_by_key(DEFAULT_ACCOUNT.account_id)
        assert use == {
            "keys": {
                key["idempotency_key"]: {
                    "accounts": [DEFAULT_ACCOUNT.account_id],
                    "paths": ["/v1/payment_intents"],
                    "posts": 2,
                    "acted": 1,
                    "replayed": 1,
                }
            },
            "without_key": [],
            "posts": 2,
        }
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}"}
            url = f"{twin.url}/v1/customers"
            async with session.post(url, headers=headers) as response:
                assert response.status == 400
            await admin.change_settings(strict_idempotency=False)
            async with session.post(url, headers=headers) as response:
                assert response.status == 200
        assert (await admin.posts_by_key())["without_key"] == ["/v1/customers"] * 2
        other = await admin.posts_by_key(BACKUP_ACCOUNT.account_id)
        assert (other["keys"], other["without_key"]) == ({}, [])
