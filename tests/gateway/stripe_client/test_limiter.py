"""Token buckets and back-off: bounds that hold whatever happens."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stripe_client.call import Priority, RetryPolicy
from gateway.stripe_client.gate import MAX_TOKEN_WAIT_SECONDS
from gateway.stripe_client.limiter import (
    GUARANTEED_SHARE,
    LOWER_PRIORITIES,
    MAX_OBJECTS,
    ObjectBudget,
    Rate,
    TokenBucket,
)


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    per_second=st.floats(min_value=0.5, max_value=200),
    burst=st.integers(min_value=1, max_value=50),
    gaps=st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=100),
)
def test_never_lets_through_more_than_the_rate(
    per_second: float, burst: int, gaps: list[float]
) -> None:
    seconds = Seconds()
    bucket = TokenBucket("account", Rate(per_second, burst), seconds)
    passed: list[float] = []
    for gap in gaps:
        seconds.now += gap
        wait = bucket.wait_seconds()
        bucket.book()
        passed.append(seconds.now + wait)
    for index, first in enumerate(passed):
        for count, last in enumerate(passed[index:], start=1):
            assert count <= burst + (last - first) * per_second + 1e-6


def test_first_come_first_served() -> None:
    bucket = TokenBucket("account", Rate(per_second=2, burst=1), Seconds())
    waits = []
    for _ in range(4):
        waits.append(bucket.wait_seconds())
        bucket.book()
    assert waits == [0.0, 0.5, 1.0, 1.5]


def test_unused_tokens_come_back() -> None:
    bucket = TokenBucket("account", Rate(per_second=1, burst=2), Seconds())
    bucket.book()
    bucket.give_back()
    bucket.give_back()
    assert bucket.available == 2


def test_lower_priorities_leave_a_reserve() -> None:
    bucket = TokenBucket("account", Rate(per_second=1, burst=20), Seconds())
    waits: list[tuple[float, ...]] = []
    for _ in range(20):
        waits.append(tuple(bucket.wait_seconds(priority) for priority in Priority))
        bucket.book()
    # Background is held back from the sixteenth call on, off-session from the nineteenth.
    assert [wait.count(0.0) for wait in waits] == [3] * 15 + [2] * 3 + [1] * 2
    assert waits[-1] == (0.0, 2.0, 5.0)


@pytest.mark.parametrize("priority", LOWER_PRIORITIES)
def test_a_bucket_of_one_serves_lower_priorities_too(priority: Priority) -> None:
    bucket = TokenBucket("account", Rate(per_second=1, burst=1), Seconds())
    assert bucket.wait_seconds(priority) == 0.0


@pytest.mark.parametrize("priority", LOWER_PRIORITIES)
def test_customers_cannot_starve_a_lower_priority(priority: Priority) -> None:
    seconds = Seconds()
    bucket = TokenBucket("account", Rate(per_second=10, burst=10), seconds)
    passed = 0
    for _ in range(600):
        seconds.now += 0.1
        while bucket.wait_seconds() <= MAX_TOKEN_WAIT_SECONDS:
            bucket.book()
        if bucket.wait_seconds(priority) == 0.0:
            bucket.book(priority)
            passed += 1
    # A tenth of the rate over a minute, but for the steps of the clock.
    assert 55 <= passed <= 60


def test_lower_priorities_cannot_starve_customers() -> None:
    seconds = Seconds()
    bucket = TokenBucket("account", Rate(per_second=10, burst=10), seconds)
    for _ in range(600):
        # Customers come at four fifths of the rate; the rest take whatever they can get.
        seconds.now += 0.125
        for priority in LOWER_PRIORITIES:
            while bucket.wait_seconds(priority) == 0.0:
                bucket.book(priority)
        assert bucket.wait_seconds() < 0.3
        bucket.book()


@given(
    per_second=st.floats(min_value=0.5, max_value=100),
    burst=st.integers(min_value=1, max_value=20),
    steps=st.lists(
        st.tuples(st.floats(min_value=0, max_value=1), st.sampled_from(Priority)),
        min_size=1,
        max_size=150,
    ),
)
def test_guarantees_do_not_break_the_rate_in_the_long_run(
    per_second: float, burst: int, steps: list[tuple[float, Priority]]
) -> None:
    seconds = Seconds()
    bucket = TokenBucket("account", Rate(per_second, burst), seconds)
    passed: list[float] = []
    for gap, priority in steps:
        seconds.now += gap
        wait = bucket.wait_seconds(priority)
        if wait <= MAX_TOKEN_WAIT_SECONDS:
            bucket.book(priority)
            passed.append(seconds.now + wait)
    lower = len(LOWER_PRIORITIES)
    ahead = lower * (1 + GUARANTEED_SHARE * per_second * MAX_TOKEN_WAIT_SECONDS)
    passed.sort()
    for index, first in enumerate(passed):
        for count, last in enumerate(passed[index:], start=1):
            assert count <= burst + (last - first) * per_second + ahead + 1e-6


def test_an_object_is_changed_so_often_in_an_hour_and_no_more() -> None:
    seconds = Seconds()
    budget = ObjectBudget(1000, seconds)
    for _ in range(1000):
        assert budget.wait_seconds("pi_1") == 0.0
        budget.book("pi_1")
    assert budget.wait_seconds("pi_1") == pytest.approx(3.6)
    assert budget.wait_seconds("pi_2") == 0.0
    seconds.now += 3.6
    assert budget.wait_seconds("pi_1") == 0.0


def test_only_so_many_objects_are_remembered() -> None:
    budget = ObjectBudget(1, Seconds())
    for number in range(MAX_OBJECTS):
        budget.book(f"pi_{number}")
    assert budget.wait_seconds("pi_0") > 0
    budget.book("pi_new")
    assert budget.wait_seconds("pi_0") == 0.0
    assert budget.wait_seconds("pi_1") > 0


@pytest.mark.parametrize("values", [(0, 1), (1, 0.5), (-1, 1)])
def test_senseless_rates_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        Rate(*values)


@given(
    attempt=st.integers(min_value=1, max_value=30),
    number=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_has_full_jitter_below_a_bound(attempt: int, number: float) -> None:
    pause = RetryPolicy().backoff.pause(attempt, number)
    # A pause is of whole microseconds.
    expected = number * min(4, 0.2 * 2 ** (attempt - 1))
    assert pause.total_seconds() == pytest.approx(expected, abs=1e-6)


def test_a_server_that_asks_for_time_gets_it() -> None:
    assert RetryPolicy().backoff.pause(1, 0.0, timedelta(seconds=3)) == timedelta(seconds=3)


def test_senseless_retry_policies_are_refused() -> None:
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(max_attempts=0)
