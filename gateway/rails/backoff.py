"""How often and when a call is sent again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class RetryPolicy:
    """Bounds of the resending of one call; the caller's deadline bounds it as well."""

    max_attempts: int = 4
    """Requests, the first included."""
    first_delay_seconds: float = 0.2
    """Upper bound of the wait before the second request; it doubles with each."""
    max_delay_seconds: float = 4.0
    """Upper bound of any wait."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or not 0 < self.first_delay_seconds <= self.max_delay_seconds:
            raise ValueError("a retry policy needs an attempt and growing delays")

    def delay_seconds(
        self, attempt: int, random: Callable[[], float], retry_after: timedelta | None = None
    ) -> float:
        """The wait after request number `attempt` (from 1).

        Exponential back-off with full jitter, which spreads callers best
        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), and never
        less than the server asked for. `random` gives numbers in [0, 1).
        """
        bound = min(self.max_delay_seconds, self.first_delay_seconds * 2.0 ** (attempt - 1))
        asked = retry_after.total_seconds() if retry_after is not None else 0.0
        return max(random() * bound, asked)
