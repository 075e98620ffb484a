"""Token buckets and back-off: bounds that hold whatever happens."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rails.backoff import RetryPolicy
from gateway.rails.limiter import Rate, TokenBucket


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


def test_background_calls_leave_a_reserve() -> None:
    bucket = TokenBucket("account", Rate(per_second=1, burst=4), Seconds())
    for _ in range(3):
        bucket.book()
    assert bucket.wait_seconds(background=True) == 1.0
    assert bucket.wait_seconds() == 0.0


def test_a_bucket_of_one_serves_background_calls_too() -> None:
    bucket = TokenBucket("account", Rate(per_second=1, burst=1), Seconds())
    assert bucket.wait_seconds(background=True) == 0.0


@pytest.mark.parametrize("values", [(0, 1), (1, 0.5), (-1, 1)])
def test_senseless_rates_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        Rate(*values)


@given(
    attempt=st.integers(min_value=1, max_value=30),
    number=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_has_full_jitter_below_a_bound(attempt: int, number: float) -> None:
    policy = RetryPolicy(max_attempts=30, first_delay_seconds=0.2, max_delay_seconds=4)
    delay = policy.delay_seconds(attempt, lambda: number)
    assert delay == pytest.approx(number * min(4, 0.2 * 2 ** (attempt - 1)))


def test_a_server_that_asks_for_time_gets_it() -> None:
    assert RetryPolicy().delay_seconds(1, lambda: 0.0, timedelta(seconds=3)) == 3.0


def test_senseless_retry_policies_are_refused() -> None:
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(max_attempts=0)
