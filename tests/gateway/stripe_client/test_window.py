"""The breaker's sliding window, call by call at its edges. Times are seconds."""

import pytest

from gateway.stripe_client.breaker import CLOSED, OPEN
from gateway.stripe_client.classify import Health
from gateway.stripe_client.window import Reading, SlidingWindow
from tests.gateway.stripe_client.test_breaker import POLICY, Bench

LENGTH, SLOW = 10, 2.0


def window(seconds: int | None = LENGTH) -> SlidingWindow:
    return SlidingWindow(seconds=seconds, slow_seconds=SLOW)


def failed_at(now: float) -> SlidingWindow:
    """A window with one quick call, which failed."""
    opened = window()
    opened.finish(opened.start(now), now, failed=True)
    return opened


@pytest.mark.parametrize("ended", [100.0, 100.5, 100.999])
def test_a_call_counts_to_the_end_of_the_windows_last_second_and_no_longer(ended: float) -> None:
    # Calls are kept by the second in which they ended: 100 is the first of ten, 109 the last.
    assert failed_at(ended).read(109.999) == Reading(calls=1, failures=1, slow=0, in_flight=0)
    assert failed_at(ended).read(110.0) == Reading(calls=0, failures=0, slow=0, in_flight=0)


def test_a_call_that_ends_at_the_edge_does_not_bring_the_old_ones_back() -> None:
    opened = failed_at(100.0)
    opened.finish(opened.start(109.999), 109.999, failed=False)
    assert opened.read(109.999) == Reading(calls=2, failures=1, slow=0, in_flight=0)
    opened.finish(opened.start(110.0), 110.0, failed=False)
    assert opened.read(110.0) == Reading(calls=2, failures=0, slow=0, in_flight=0)


@pytest.mark.parametrize(("took", "slow"), [(SLOW - 0.001, 0), (SLOW, 1), (SLOW + 0.001, 1)])
def test_a_call_is_slow_from_its_limit_on(took: float, slow: int) -> None:
    ended, running, forgotten = window(), window(), window()
    ended.finish(ended.start(0.0), took, failed=False)
    assert ended.read(took) == Reading(calls=1, failures=0, slow=slow, in_flight=0)
    running.start(0.0)
    assert running.read(took) == Reading(calls=slow, failures=0, slow=slow, in_flight=1)
    assert forgotten.forget(forgotten.start(0.0), took) is bool(slow)
    assert forgotten.read(took) == Reading(calls=slow, failures=0, slow=slow, in_flight=0)


def test_without_a_length_nothing_is_forgotten() -> None:
    opened = window(None)
    opened.finish(opened.start(0.0), 0.0, failed=True)
    assert opened.read(1e9).failures == 1


@pytest.mark.parametrize(("age", "state"), [(9.999, OPEN), (10.0, CLOSED)])
def test_the_breaker_opens_by_a_failure_at_the_edge_of_its_window(age: float, state: str) -> None:
    it = Bench()
    it.calls(POLICY.min_calls - 1, Health.FAILED)
    it.advance(age)
    it.calls(1, Health.FAILED)
    assert it.breaker.state == state
