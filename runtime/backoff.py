"""How long to wait before the next attempt: exponential back-off with full jitter.

Anything up to a bound that doubles with each failure spreads callers best
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from dataclasses import dataclass
from datetime import timedelta

# Beyond these the bound would be longer than any that is sensible, whatever the first one was.
MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """A bound that doubles from `first` to `last`; the pause is drawn between zero and it."""

    first: timedelta
    last: timedelta

    def __post_init__(self) -> None:
        if not timedelta(0) < self.first <= self.last:
            raise ValueError("a back-off goes from more than nothing up")

    def bound(self, failures: int) -> timedelta:
        """The longest pause after so many failures in a row, of which there is at least one."""
        return min(self.last, self.first * (1 << min(max(failures - 1, 0), MAX_DOUBLINGS)))

    def pause(self, failures: int, jitter: float, at_least: timedelta | None = None) -> timedelta:
        """The wait after so many failures in a row; `jitter` is uniform in [0, 1).

        `at_least` is what the other side asked for: it is never undercut.
        """
        return max(self.bound(failures) * jitter, at_least or timedelta(0))
