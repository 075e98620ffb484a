"""Waiting, in tests without an event loop, for what other processes do."""

import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.02
WAIT_SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Looks until the condition holds. Raises `TimeoutError`."""
    ends = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"still not so after {WAIT_SECONDS} s")
        time.sleep(INTERVAL_SECONDS)
