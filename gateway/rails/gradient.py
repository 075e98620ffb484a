"""How many requests may be under way at once: a limit that follows what latency says. Pure.

The rule is that of Gradient2 in Netflix's concurrency-limits
(https://github.com/Netflix/concurrency-limits): latency now against latency in the long run. Where
it rises, requests queue up at the other side, and the limit sinks; otherwise it grows by what a
short queue may hold. Unlike there (its issue 137), a request without an answer is no sample of
latency: it would make a steady time-out look normal. It cuts the limit instead.
"""

from dataclasses import dataclass

# One sample moves the limit by no more than halving it, smoothed.
MIN_GRADIENT = 0.5
# After slow times the long run is forgotten faster, or it would take any latency for good.
FORGET_FROM = 2.0
FORGET_RATIO = 0.95


@dataclass(frozen=True)
class ConcurrencyPolicy:
    """Bounds and temper of the limit of one corridor."""

    initial: int = 32
    min: int = 4
    max: int = 96
    queue: int = 4
    """Requests that may queue at the other side: what the limit grows by, and what keeps it up."""
    tolerance: float = 1.5
    """Latency may rise by this factor before the limit sinks."""
    smoothing: float = 0.2
    """Share of the new limit in the next one."""
    short_samples: int = 10
    long_samples: int = 600
    drop_ratio: float = 0.8
    """What is left of the limit after a request without an answer."""
    calm_seconds: float = 0.25
    """Up to here latency does not lower the limit: Stripe is not at its limit where it answers so
    fast, and what makes the difference then is how busy our own process is."""

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.initial <= self.max:
            raise ValueError("a concurrency limit needs 1 <= min <= initial <= max")
        if not (0 < self.smoothing <= 1 and 0 < self.drop_ratio < 1 and self.tolerance >= 1):
            raise ValueError("a concurrency limit needs ratios below 1 and a tolerance from 1 on")
        if self.calm_seconds < 0:
            raise ValueError("a concurrency limit cannot be calm below no latency")
        if not (self.queue >= 1 and 1 <= self.short_samples <= self.long_samples):
            raise ValueError("a concurrency limit needs a queue and a long run that is longer")


@dataclass(frozen=True, slots=True)
class Latency:
    """What one kind of request takes, now and in the long run."""

    short_seconds: float = 0.0
    long_seconds: float = 0.0
    samples: int = 0

    def with_sample(self, seconds: float, policy: ConcurrencyPolicy) -> "Latency":
        """The latency after one more answer; the first ones are averaged evenly."""
        count = self.samples + 1
        short = self.short_seconds + (seconds - self.short_seconds) / min(
            count, policy.short_samples
        )
        long = self.long_seconds + (seconds - self.long_seconds) / min(count, policy.long_samples)
        if long > FORGET_FROM * short:
            long *= FORGET_RATIO
        return Latency(short, long, count)


def limit_after_answer(
    limit: float, latency: Latency, in_flight: int, policy: ConcurrencyPolicy
) -> float:
    """The limit after an answer, whose latency is in `latency` already.

    While less than half of the limit is used, latency says nothing about it.
    """
    if in_flight < limit / 2 or latency.short_seconds <= 0:
        return limit
    gradient = policy.tolerance * latency.long_seconds / latency.short_seconds
    if latency.short_seconds <= policy.calm_seconds:
        gradient = 1.0
    wanted = limit * min(1.0, max(MIN_GRADIENT, gradient)) + policy.queue
    return _bounded(limit + (wanted - limit) * policy.smoothing, policy)


def limit_after_drop(limit: float, policy: ConcurrencyPolicy) -> float:
    """The limit after a request that was not answered, or refused because too many were."""
    return _bounded(limit * policy.drop_ratio, policy)


def is_late(latency: Latency, seconds: float) -> bool:
    """Whether a request that was cut short had lasted longer than answers do."""
    return latency.samples > 0 and seconds > FORGET_FROM * latency.long_seconds


def _bounded(limit: float, policy: ConcurrencyPolicy) -> float:
    return min(float(policy.max), max(float(policy.min), limit))
