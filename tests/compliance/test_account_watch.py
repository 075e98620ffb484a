"""What changes at Stripe reaches compliance when it reaches the gateway, not a round later."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg
from prometheus_client import REGISTRY

from gateway.v1 import merchant_pb2
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, codes, verdict

# Ten seconds at most on a machine that is busy; a round comes after ten minutes.
LOOKS, SECONDS = 200, 0.05


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(LOOKS):
        if await condition():
            return
        await asyncio.sleep(SECONDS)
    raise TimeoutError("still not so")


async def stopped_merchant(guard: Guard) -> tuple[str, merchant_pb2.AccountSnapshot]:
    """A merchant whom Stripe lets not charge, and what Stripe says of it."""
    merchant = await guard.merchant()
    snapshot = list(guard.merchants.snapshots.values())[-1]
    snapshot.charges_enabled = False
    assert codes(await guard.check(merchant)) == ["CHARGES_DISABLED"]
    return merchant, snapshot


async def test_a_repaired_merchant_is_paid_at_once(guard: Guard) -> None:
    merchant, snapshot = await stopped_merchant(guard)
    (account,) = guard.merchants.snapshots
    guard.clock.advance(timedelta(seconds=1))
    snapshot.charges_enabled = True
    # What was fetched a moment ago counts, until the gateway tells of a change.
    assert verdict(await guard.check(merchant)) == "DENY"
    guard.merchants.tell(account)

    async def repaired() -> bool:
        return verdict(await guard.check(merchant)) == "ALLOW"

    await until(repaired)
    synced = len(guard.merchants.syncs)
    # The same change told again, and one of an account that is nobody's, are not fetched.
    guard.merchants.add("acct_nobody")
    guard.merchants.tell(account)
    guard.merchants.tell("acct_nobody")
    await until(lambda: followed(guard, (0, 3)))
    assert len(guard.merchants.syncs) == synced


async def followed(guard: Guard, place: tuple[int, int]) -> bool:
    async with await psycopg.AsyncConnection.connect(guard.database_url) as connection:
        rows = await connection.execute("SELECT epoch, sequence FROM merchant_watch")
        return bool(await rows.fetchone() == place)


async def test_the_feed_is_followed_from_where_it_was_left(open_guard: OpenGuard) -> None:
    async with open_guard() as guard:
        merchant, snapshot = await stopped_merchant(guard)
        (account,) = guard.merchants.snapshots
        guard.merchants.tell(account)
        await until(lambda: followed(guard, (0, 1)))
    async with open_guard() as guard:
        guard.merchants.snapshots[account] = snapshot
        # This gateway was restored: it has nothing at that place, and says where to go on.
        guard.clock.advance(timedelta(seconds=1))
        snapshot.charges_enabled = True

        async def asked_anew() -> bool:
            return bool(guard.merchants.watches[:2] == [(0, 1), (0, 0)])

        await until(asked_anew)
        guard.merchants.tell(account, epoch=1)
        await until(lambda: followed(guard, (1, 1)))
        assert verdict(await guard.check(merchant)) == "ALLOW"


async def test_an_account_that_cannot_be_fetched_holds_up_no_other(guard: Guard) -> None:
    merchant, snapshot = await stopped_merchant(guard)
    (account,) = guard.merchants.snapshots
    guard.clock.advance(timedelta(seconds=1))
    snapshot.charges_enabled = True
    guard.merchants.is_down = True
    guard.merchants.tell(account)
    await until(lambda: followed(guard, (0, 1)))
    assert verdict(await guard.check(merchant)) == "DENY"
    guard.merchants.is_down = False
    guard.merchants.tell(account)
    await until(lambda: followed(guard, (0, 2)))
    assert verdict(await guard.check(merchant)) == "ALLOW"


def rounds_that_went_well() -> float | None:
    return REGISTRY.get_sample_value("loop_rounds_total", {"loop": "account watch"})


async def test_a_feed_that_is_refused_is_asked_for_less_and_less(open_guard: OpenGuard) -> None:
    """And the calls that matter are answered as ever."""
    async with open_guard() as guard:
        await until(lambda: followed(guard, (0, 0)))
        guard.merchants.feed_is_refused = True
        # What the server cannot send ends the feed.
        guard.merchants.tell("acct_unknown")
        before = len(guard.merchants.watches)

        async def refused_often() -> bool:
            return len(guard.merchants.watches) >= before + 2

        await until(refused_often)
        went_well = rounds_that_went_well()
        asked = len(guard.merchants.watches)

        async def refused_again() -> bool:
            return len(guard.merchants.watches) >= asked + 3

        await until(refused_again)
        # A refusal is never taken for a round that went well, which would begin the pauses anew.
        assert rounds_that_went_well() == went_well
        assert verdict(await guard.check(await guard.merchant())) == "ALLOW"
