"""Token buckets that keep the engine below Stripe's rate limits."""

from collections.abc import Callable
from dataclasses import dataclass

# What is kept back for customers who are waiting: background calls see this share of the burst as
# already spent.
BACKGROUND_RESERVE = 0.25


@dataclass(frozen=True)
class Rate:
    """A rate limit: `per_second` in the long run, `burst` at once."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError("a rate limit lets at least one call through")


class TokenBucket:
    """One bucket. Calls book a token ahead and wait until it is theirs, first come first served.

    `monotonic` tells seconds on a clock that never jumps.
    """

    def __init__(self, name: str, rate: Rate, monotonic: Callable[[], float]) -> None:
        self.name = name
        self.rate = rate
        self._monotonic = monotonic
        self._tokens = rate.burst
        self._refilled_at = monotonic()
        self.waiting = 0

    @property
    def available(self) -> float:
        """Tokens that are free now; never negative."""
        self._refill()
        return max(0.0, self._tokens)

    def wait_seconds(self, *, background: bool = False) -> float:
        """How long a call that books now would wait."""
        self._refill()
        reserve = self.rate.burst * BACKGROUND_RESERVE if background else 0.0
        missing = 1.0 + min(reserve, self.rate.burst - 1.0) - self._tokens
        return max(0.0, missing / self.rate.per_second)

    def book(self) -> None:
        """Takes a token, one of the future if none is there."""
        self._refill()
        self._tokens -= 1.0

    def give_back(self) -> None:
        """Returns a token that was booked and not used."""
        self._refill()
        self._tokens = min(self.rate.burst, self._tokens + 1.0)

    def drain(self) -> None:
        """Spends what is there: the server has said that we are too fast."""
        self._refill()
        self._tokens = min(self._tokens, 0.0)

    def _refill(self) -> None:
        now = self._monotonic()
        earned = (now - self._refilled_at) * self.rate.per_second
        self._refilled_at = now
        self._tokens = min(self.rate.burst, self._tokens + earned)
