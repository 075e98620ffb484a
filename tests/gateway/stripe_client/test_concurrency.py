"""Places under the concurrency limit: who gets one, who waits, who is shed."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stripe_client.call import Priority
from gateway.stripe_client.concurrency import (
    GUARANTEED,
    SHARES,
    ConcurrencyLimit,
    ConcurrencyPermit,
    ConcurrencyPolicy,
    has_room,
)
from gateway.stripe_client.pace import MIN_CALLS, RECENT_SECONDS, Pace

CUSTOMER, OFF_SESSION, BACKGROUND = Priority
POLICY = ConcurrencyPolicy(initial=10, min=2, max=20)
# Long enough for whatever must come, and never waited for whole.
PATIENCE = 10.0
MOST_TURNS = 100
USE = st.dictionaries(st.sampled_from(Priority), st.integers(0, 60)).map(
    lambda used: {priority: used.get(priority, 0) for priority in Priority}
)


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def taken(
    concurrency: ConcurrencyLimit, priority: Priority, count: int
) -> list[ConcurrencyPermit]:
    """So many permits, which must be there."""
    found = [await concurrency.take(priority, "kind", 0.0) for _ in range(count)]
    return [permit for permit in found if permit is not None]


@given(limit=st.floats(1, 100), used=USE)
def test_the_lower_priority_is_shed_first(limit: float, used: Mapping[Priority, int]) -> None:
    beyond = {p for p in Priority if used[p] >= GUARANTEED.get(p, 0)}
    rooms = [p for p in (CUSTOMER, OFF_SESSION, BACKGROUND) if has_room(limit, used, p)]
    for lower in (OFF_SESSION, BACKGROUND):
        if lower in rooms and lower in beyond:
            assert CUSTOMER in rooms
    if BACKGROUND in rooms and BACKGROUND in beyond and OFF_SESSION in beyond:
        assert OFF_SESSION in rooms


@given(limit=st.floats(1, 100), used=USE)
def test_a_little_of_each_is_always_under_way(limit: float, used: Mapping[Priority, int]) -> None:
    for priority, guaranteed in GUARANTEED.items():
        if used[priority] < guaranteed:
            assert has_room(limit, used, priority)


async def test_background_work_cannot_take_all_places() -> None:
    concurrency = ConcurrencyLimit(POLICY, Seconds())
    assert len(await taken(concurrency, BACKGROUND, 30)) == int(10 * SHARES[BACKGROUND])
    assert len(await taken(concurrency, OFF_SESSION, 30)) == 2
    assert len(await taken(concurrency, CUSTOMER, 30)) == 1


async def test_customers_cannot_take_the_last_place_of_background_work() -> None:
    concurrency = ConcurrencyLimit(POLICY, Seconds())
    assert len(await taken(concurrency, CUSTOMER, 30)) == 10
    assert len(await taken(concurrency, BACKGROUND, 30)) == GUARANTEED[BACKGROUND]
    assert len(await taken(concurrency, OFF_SESSION, 30)) == GUARANTEED[OFF_SESSION]


async def test_a_place_that_comes_free_goes_to_the_highest_who_waits() -> None:
    concurrency = ConcurrencyLimit(ConcurrencyPolicy(initial=2, min=2, max=20), Seconds())
    held = [*await taken(concurrency, CUSTOMER, 2), *await taken(concurrency, BACKGROUND, 1)]
    got: list[str] = []

    async def wait(name: str, priority: Priority) -> None:
        assert await concurrency.take(priority, "kind", PATIENCE) is not None
        got.append(name)

    first = asyncio.create_task(wait("background", BACKGROUND))
    await until_waiting(concurrency, BACKGROUND, 1)
    second = asyncio.create_task(wait("customer", CUSTOMER))
    third = asyncio.create_task(wait("later customer", CUSTOMER))
    await until_waiting(concurrency, CUSTOMER, 2)
    for permit in held:
        concurrency.give_back(permit)
    await asyncio.gather(first, second, third)
    assert got == ["customer", "later customer", "background"]


async def until_waiting(concurrency: ConcurrencyLimit, priority: Priority, count: int) -> None:
    for _ in range(MOST_TURNS):
        if concurrency.waiting(priority) >= count:
            return
        await asyncio.sleep(0)
    raise AssertionError("nobody waits")


async def test_nobody_waits_longer_than_told() -> None:
    concurrency = ConcurrencyLimit(ConcurrencyPolicy(initial=1, min=1, max=2), Seconds())
    (held,) = await taken(concurrency, CUSTOMER, 1)
    assert await concurrency.take(CUSTOMER, "kind", 0.0) is None
    assert await concurrency.take(CUSTOMER, "kind", 0.01) is None
    assert concurrency.waiting(CUSTOMER) == 0
    concurrency.give_back(held)
    assert await concurrency.take(CUSTOMER, "kind", 0.0) is not None


async def test_only_so_many_wait() -> None:
    policy = ConcurrencyPolicy(initial=1, min=1, max=2)
    concurrency = ConcurrencyLimit(policy, Seconds(), max_waiting=2)
    await taken(concurrency, CUSTOMER, 1)
    waiting = [asyncio.create_task(concurrency.take(CUSTOMER, "kind", PATIENCE)) for _ in range(2)]
    await until_waiting(concurrency, CUSTOMER, 2)
    assert await concurrency.take(CUSTOMER, "kind", PATIENCE) is None
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert concurrency.waiting(CUSTOMER) == 0


async def test_a_canceled_wait_leaves_nothing_behind() -> None:
    concurrency = ConcurrencyLimit(ConcurrencyPolicy(initial=1, min=1, max=2), Seconds())
    (held,) = await taken(concurrency, CUSTOMER, 1)
    task = asyncio.create_task(concurrency.take(CUSTOMER, "kind", PATIENCE))
    await until_waiting(concurrency, CUSTOMER, 1)
    # The place comes at the very moment at which the caller goes away.
    concurrency.give_back(held)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert concurrency.under_way(CUSTOMER) == 0


async def test_one_cause_cuts_the_limit_once() -> None:
    seconds = Seconds()
    concurrency = ConcurrencyLimit(POLICY, seconds)
    together = await taken(concurrency, CUSTOMER, 5)
    for permit in together:
        concurrency.begin(permit)
    seconds.now = 20.0
    for permit in together:
        concurrency.dropped(permit)
        concurrency.give_back(permit)
    assert concurrency.limit == int(10 * POLICY.drop_ratio)
    (later,) = await taken(concurrency, CUSTOMER, 1)
    concurrency.begin(later)
    concurrency.dropped(later)
    assert concurrency.limit == int(10 * POLICY.drop_ratio**2)


async def test_kinds_are_measured_apart() -> None:
    """Many quick reads after slow writes are no sign of anything."""
    seconds = Seconds()
    concurrency = ConcurrencyLimit(POLICY, seconds)
    for kind, took in [("write", 1.0), ("read", 0.01)] * 20:
        permit = await concurrency.take(CUSTOMER, kind, 0.0)
        assert permit is not None
        concurrency.begin(permit)
        seconds.now += took
        concurrency.answered(permit)
        concurrency.give_back(permit)
    assert concurrency.latency("write").long_seconds == pytest.approx(1.0)
    assert concurrency.latency("read").short_seconds == pytest.approx(0.01)
    assert concurrency.limit == POLICY.initial


def test_half_of_the_last_calls_make_a_corridor_slow() -> None:
    seconds = Seconds()
    pace = Pace(0.25, seconds)
    for took in (0.25, 0.25, 0.01):
        token = pace.start()
        seconds.now += took
        pace.finish(token)
    assert MIN_CALLS == 4
    assert not pace.is_slow, "three calls are too few"
    token = pace.start()
    assert not pace.is_slow
    seconds.now += 0.25
    assert pace.is_slow, "one that runs late counts at once"
    pace.finish(token)
    assert pace.is_slow
    seconds.now += RECENT_SECONDS
    assert not pace.is_slow, "too few of them are recent"


async def test_a_share_of_the_limit_is_kept_to_and_given_back() -> None:
    concurrency = ConcurrencyLimit(POLICY, Seconds())
    held = await taken(concurrency, CUSTOMER, 4)
    concurrency.keep_to(0.5)
    assert (concurrency.limit, concurrency.share) == (5, 0.5)
    held += await taken(concurrency, CUSTOMER, 4)
    assert len(held) == 5
    waiter = asyncio.create_task(concurrency.take(CUSTOMER, "kind", PATIENCE))
    await until_waiting(concurrency, CUSTOMER, 1)
    # Who waits is let in when it is given back.
    concurrency.keep_to(1.0)
    assert await waiter is not None
    assert (concurrency.limit, concurrency.share) == (10, 1.0)


async def test_a_small_share_still_lets_one_pass_and_none_at_all_is_no_share() -> None:
    concurrency = ConcurrencyLimit(POLICY, Seconds())
    concurrency.keep_to(0.05)
    assert concurrency.limit == 1
    assert len(await taken(concurrency, CUSTOMER, 2)) == 1
    for wrong in (0.0, -0.1, 1.01):
        with pytest.raises(ValueError, match="share"):
            concurrency.keep_to(wrong)
    assert concurrency.share == 0.05
