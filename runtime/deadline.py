"""The deadline of the call being served, known to every call made on its behalf."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# On the event loop's monotonic clock: a deadline must not move when the wall clock is set.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def remaining() -> float | None:
    """Seconds left to the current call's deadline, never negative; None when it has none."""
    deadline = _deadline.get()
    if deadline is None:
        return None
    return max(0.0, deadline - asyncio.get_running_loop().time())


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Bounds what runs inside; an outer, nearer deadline stays. None adds no bound."""
    if seconds is None:
        yield
        return
    deadline = asyncio.get_running_loop().time() + seconds
    outer = _deadline.get()
    token = _deadline.set(deadline if outer is None else min(outer, deadline))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def detached() -> Iterator[None]:
    """Lets work that outlives the call (a background task) run without its deadline."""
    token = _deadline.set(None)
    try:
        yield
    finally:
        _deadline.reset(token)
