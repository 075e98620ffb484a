"""The back-off that everything uses."""

from datetime import timedelta

import pytest

from runtime.backoff import MAX_DOUBLINGS, Backoff

BACKOFF = Backoff(timedelta(milliseconds=100), timedelta(seconds=5))
ALMOST_ONE = 1 - 2**-53


def test_the_bound_doubles_up_to_its_limit() -> None:
    bounds = [BACKOFF.bound(failures).total_seconds() for failures in range(1, 9)]
    assert bounds == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_the_pause_is_anything_up_to_the_bound() -> None:
    assert BACKOFF.pause(3, 0.0) == timedelta(0)
    assert BACKOFF.pause(3, 0.5) == timedelta(milliseconds=200)
    assert BACKOFF.pause(3, ALMOST_ONE) <= BACKOFF.bound(3)


def test_what_the_other_side_asked_for_is_never_undercut() -> None:
    asked = timedelta(seconds=7)
    assert BACKOFF.pause(1, 0.5, asked) == asked
    assert BACKOFF.pause(9, 0.5, timedelta(seconds=1)) == timedelta(seconds=2.5)


def test_any_number_of_failures_has_a_bound() -> None:
    long = Backoff(timedelta(microseconds=1), timedelta(days=365))
    at_the_edge = long.bound(MAX_DOUBLINGS + 1)
    assert at_the_edge == timedelta(microseconds=1) * 2**MAX_DOUBLINGS
    assert long.bound(MAX_DOUBLINGS + 2) == long.bound(10**9) == at_the_edge
    assert long.bound(0) == long.bound(1)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (-1, 1), (2, 1)])
def test_a_back_off_that_goes_nowhere_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="from more than nothing up"):
        Backoff(timedelta(seconds=first), timedelta(seconds=last))
