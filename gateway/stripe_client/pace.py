"""Whether a corridor is slow right now: what callers need to know long before a breaker does.

A breaker must be sure, because it refuses calls; here being wrong only means that a caller is
answered before the outcome is known.
"""

from collections import deque
from collections.abc import Callable

RECENT_CALLS = 20
RECENT_SECONDS = 30.0
MIN_CALLS = 4
SLOW_SHARE = 0.5


class Pace:
    """Follows the requests of one corridor that change something.

    `monotonic` tells seconds on a clock that never jumps; a request is slow from `slow_seconds` on,
    and counts from then on even while it runs.
    """

    def __init__(self, slow_seconds: float, monotonic: Callable[[], float]) -> None:
        self.slow_seconds = slow_seconds
        self._monotonic = monotonic
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT_CALLS)
        # In order of their start, because dictionaries keep the order of insertion.
        self._running: dict[int, float] = {}
        self._next_ticket = 0

    def start(self) -> int:
        """A request goes out; the token is for `finish`."""
        self._next_ticket += 1
        self._running[self._next_ticket] = self._monotonic()
        return self._next_ticket

    def finish(self, token: int) -> None:
        """A request is over."""
        now = self._monotonic()
        took = now - self._running.pop(token)
        self._recent.append((now, took >= self.slow_seconds))

    @property
    def is_slow(self) -> bool:
        """Whether at least half of the last requests were slow, those that run late included."""
        now = self._monotonic()
        late = 0
        for started in self._running.values():
            if now - started < self.slow_seconds:
                break
            late += 1
        recent = [slow for ended, slow in self._recent if now - ended <= RECENT_SECONDS]
        calls = late + len(recent)
        return calls >= MIN_CALLS and late + sum(recent) >= SLOW_SHARE * calls
