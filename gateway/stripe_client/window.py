"""What happened lately: a sliding window of calls, and the calls that are still running."""

from collections import deque
from dataclasses import dataclass

BUCKET_SECONDS = 1.0


@dataclass
class _Bucket:
    number: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(frozen=True)
class Reading:
    """The window at one moment. Running calls that already took too long are in it as slow."""

    calls: int
    failures: int
    slow: int
    in_flight: int

    @property
    def failure_rate(self) -> float:
        """Share of the calls that failed, 0 to 1."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_rate(self) -> float:
        """Share of the calls that took too long, 0 to 1."""
        return self.slow / self.calls if self.calls else 0.0


class SlidingWindow:
    """Counts calls over the last `seconds` (None: all of them), in buckets of a second.

    All times are seconds on one clock that never jumps, handed in by the caller.
    """

    def __init__(self, *, seconds: int | None, slow_seconds: float) -> None:
        self._length = seconds
        self._slow_seconds = slow_seconds
        self._buckets: deque[_Bucket] = deque()
        # In order of their start, because dictionaries keep the order of insertion.
        self._running: dict[int, float] = {}
        self._next_ticket = 0

    def start(self, now: float) -> int:
        """A call goes out; the token is for `finish` or `forget`."""
        self._next_ticket += 1
        self._running[self._next_ticket] = now
        return self._next_ticket

    def finish(self, token: int, now: float, *, failed: bool) -> None:
        """A call came back."""
        slow = self._is_slow(self._running.pop(token), now)
        bucket = self._bucket_at(now)
        bucket.calls += 1
        bucket.failures += failed
        bucket.slow += slow

    def forget(self, token: int, now: float) -> bool:
        """A call ended without saying anything about the other side, unless it took too long.

        Says whether it counts all the same.
        """
        if self._is_slow(self._running[token], now):
            self.finish(token, now, failed=False)
            return True
        del self._running[token]
        return False

    def read(self, now: float) -> Reading:
        """The window as it is now."""
        self._expire(now)
        late = 0
        for started in self._running.values():
            if not self._is_slow(started, now):
                break
            late += 1
        return Reading(
            calls=sum(bucket.calls for bucket in self._buckets) + late,
            failures=sum(bucket.failures for bucket in self._buckets),
            slow=sum(bucket.slow for bucket in self._buckets) + late,
            in_flight=len(self._running),
        )

    def _is_slow(self, started: float, now: float) -> bool:
        return now - started >= self._slow_seconds

    def _bucket_at(self, now: float) -> _Bucket:
        self._expire(now)
        number = int(now / BUCKET_SECONDS)
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        return self._buckets[-1]

    def _expire(self, now: float) -> None:
        if self._length is None:
            return
        oldest = int(now / BUCKET_SECONDS) - self._length + 1
        while self._buckets and self._buckets[0].number < oldest:
            self._buckets.popleft()
