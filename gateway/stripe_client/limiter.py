"""Token buckets that keep the engine below Stripe's rate limits."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.stripe_client.call import Priority

# What is kept back for higher priorities: lower ones see this share of the burst as already spent,
# so that they are held back first.
RESERVES: Mapping[Priority, float] = {
    Priority.CUSTOMER_PRESENT: 0.0,
    Priority.OFF_SESSION: 0.1,
    Priority.BACKGROUND: 0.25,
}
LOWER_PRIORITIES = (Priority.OFF_SESSION, Priority.BACKGROUND)
# And what each of them gets of the rate all the same, however many customers there are. Customers
# who come later pay for it with their wait, so in the long run the rate is kept.
GUARANTEED_SHARE = 0.1
# Objects whose changes are counted: those that were changed last.
MAX_OBJECTS = 10_000
SECONDS_PER_HOUR = 3600


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
        self._guaranteed_every = 1.0 / (GUARANTEED_SHARE * rate.per_second)
        # When the next token that a lower priority is guaranteed is due.
        self._guaranteed_at = dict.fromkeys(
            LOWER_PRIORITIES, self._refilled_at + self._guaranteed_every
        )
        self.waiting = 0

    @property
    def available(self) -> float:
        """Tokens that are free now; never negative."""
        self._refill()
        return max(0.0, self._tokens)

    def wait_seconds(self, priority: Priority = Priority.CUSTOMER_PRESENT) -> float:
        """How long a call that books now would wait."""
        self._refill()
        reserve = self.rate.burst * RESERVES[priority]
        missing = 1.0 + min(reserve, self.rate.burst - 1.0) - self._tokens
        wait = max(0.0, missing / self.rate.per_second)
        if priority is Priority.CUSTOMER_PRESENT:
            return wait
        return min(wait, max(0.0, self._guaranteed_at[priority] - self._refilled_at))

    def book(self, priority: Priority = Priority.CUSTOMER_PRESENT) -> None:
        """Takes a token, one of the future if none is there."""
        self._refill()
        self._tokens -= 1.0
        if priority is not Priority.CUSTOMER_PRESENT:
            due = max(self._guaranteed_at[priority], self._refilled_at)
            self._guaranteed_at[priority] = due + self._guaranteed_every

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


class ObjectBudget:
    """How often each object may be changed in an hour.

    Remembers the objects that were changed last, so many of them; one that was forgotten begins
    with all of its budget.
    """

    def __init__(self, changes_per_hour: int, monotonic: Callable[[], float]) -> None:
        self._rate = Rate(changes_per_hour / SECONDS_PER_HOUR, changes_per_hour)
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait_seconds(self, object_id: str) -> float:
        """How long until the object may be changed."""
        bucket = self._buckets.get(object_id)
        return bucket.wait_seconds() if bucket is not None else 0.0

    def book(self, object_id: str) -> None:
        """The object is changed."""
        bucket = self._buckets.get(object_id)
        if bucket is None:
            bucket = self._buckets[object_id] = TokenBucket(object_id, self._rate, self._monotonic)
        bucket.book()
        self._buckets.move_to_end(object_id)
        if len(self._buckets) > MAX_OBJECTS:
            self._buckets.popitem(last=False)
