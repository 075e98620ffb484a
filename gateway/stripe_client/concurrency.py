"""How many requests may be under way to one corridor, and which of them by priority.

The limit follows what latency says: pure rules, then the permits that are given under it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.stripe_client.call import Priority

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


# What of the limit may be in use when a call of a priority begins: the rest is kept for higher
# ones, so that the lower one is shed first.
SHARES: Mapping[Priority, float] = {
    Priority.CUSTOMER_PRESENT: 1.0,
    Priority.OFF_SESSION: 0.9,
    Priority.BACKGROUND: 0.7,
}
# So many of each lower priority may always be under way: customers cannot starve the webhooks that
# resolve their payments.
GUARANTEED: Mapping[Priority, int] = {Priority.OFF_SESSION: 1, Priority.BACKGROUND: 1}
# More than this do not wait; they are shed.
MAX_WAITING = 1_000


def has_room(limit: float, under_way: Mapping[Priority, int], priority: Priority) -> bool:
    """Whether one more call of a priority may begin."""
    if under_way[priority] < GUARANTEED.get(priority, 0):
        return True
    return sum(under_way.values()) < max(1, int(limit * SHARES[priority]))


@dataclass(slots=True)
class ConcurrencyPermit:
    """One permit; `begun` when its request goes out, on the clock of the concurrency."""

    priority: Priority
    kind: str
    begun: float | None = None


class ConcurrencyLimit:
    """The permits of one corridor. `monotonic` tells seconds on a clock that never jumps."""

    def __init__(
        self,
        policy: ConcurrencyPolicy,
        monotonic: Callable[[], float],
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.policy = policy
        self._max_waiting = max_waiting
        self._monotonic = monotonic
        self._limit = float(policy.initial)
        self._share = 1.0
        self._under_way = dict.fromkeys(Priority, 0)
        self._sending = 0
        self._waiting: dict[Priority, deque[asyncio.Future[None]]] = {
            priority: deque() for priority in Priority
        }
        # Kinds are named in code, so their number is bounded.
        self._latencies: dict[str, Latency] = {}
        self._cut_at = -1.0

    @property
    def limit(self) -> int:
        """How many may be under way."""
        return max(1, int(self._allowed))

    @property
    def share(self) -> float:
        """What of the limit that follows latency may be used."""
        return self._share

    def keep_to(self, share: float) -> None:
        """Allows only this share of the limit, above 0 and at most 1, until told otherwise. The
        limit goes on following latency beneath; one request may always be under way."""
        if not 0 < share <= 1:
            raise ValueError(f"a share of the limit is above 0 and at most 1, not {share}")
        self._share = share
        self._let_in()

    @property
    def _allowed(self) -> float:
        return self._limit * self._share

    def under_way(self, priority: Priority) -> int:
        """Calls of a priority that hold a permit."""
        return self._under_way[priority]

    def waiting(self, priority: Priority) -> int:
        """Calls of a priority that wait for a permit."""
        return sum(not future.done() for future in self._waiting[priority])

    def latency(self, kind: str) -> Latency:
        """What a kind of request takes."""
        return self._latencies.get(kind, Latency())

    async def take(self, priority: Priority, kind: str, seconds: float) -> ConcurrencyPermit | None:
        """A permit, within so long; None if there is none."""
        ahead = any(self.waiting(other) for other in Priority if SHARES[other] >= SHARES[priority])
        if not ahead and has_room(self._allowed, self._under_way, priority):
            self._under_way[priority] += 1
            return ConcurrencyPermit(priority, kind)
        if seconds <= 0 or sum(map(len, self._waiting.values())) >= self._max_waiting:
            return None
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[priority].append(waiter)
        try:
            await asyncio.wait({waiter}, timeout=seconds)
        except BaseException:
            self._withdraw(waiter, priority)
            raise
        if not waiter.done():
            self._withdraw(waiter, priority)
            return None
        return ConcurrencyPermit(priority, kind)

    def begin(self, permit: ConcurrencyPermit) -> None:
        """The request of the permit goes out."""
        permit.begun = self._monotonic()
        self._sending += 1

    def answered(self, permit: ConcurrencyPermit) -> None:
        """The request was answered, whatever the answer."""
        assert permit.begun is not None, "an answer follows a request"
        sample = self._monotonic() - permit.begun
        latency = self.latency(permit.kind).with_sample(sample, self.policy)
        self._latencies[permit.kind] = latency
        self._limit = limit_after_answer(self._limit, latency, self._sending, self.policy)

    def dropped(self, permit: ConcurrencyPermit) -> None:
        """The request was not answered, or refused because too many are under way.

        Those that were under way when the limit was cut last do not cut it again: they failed of
        the same cause.
        """
        assert permit.begun is not None, "a drop follows a request"
        if permit.begun >= self._cut_at:
            self._limit = limit_after_drop(self._limit, self.policy)
            self._cut_at = self._monotonic()

    def cut_short(self, permit: ConcurrencyPermit) -> None:
        """The caller gave up; a drop if answers usually come sooner."""
        assert permit.begun is not None, "what was cut short had begun"
        if is_late(self.latency(permit.kind), self._monotonic() - permit.begun):
            self.dropped(permit)

    def give_back(self, permit: ConcurrencyPermit) -> None:
        """The call is over, sent or not."""
        self._sending -= permit.begun is not None
        self._under_way[permit.priority] -= 1
        self._let_in()

    def _let_in(self) -> None:
        for priority in sorted(Priority, key=SHARES.__getitem__, reverse=True):
            waiting = self._waiting[priority]
            while waiting and has_room(self._allowed, self._under_way, priority):
                waiter = waiting.popleft()
                if not waiter.done():
                    self._under_way[priority] += 1
                    waiter.set_result(None)

    def _withdraw(self, waiter: asyncio.Future[None], priority: Priority) -> None:
        """The caller waits no more; a permit that has just come goes to the next."""
        if waiter.done() and not waiter.cancelled():
            self._under_way[priority] -= 1
            self._let_in()
            return
        waiter.cancel()
        with contextlib.suppress(ValueError):
            self._waiting[priority].remove(waiter)
