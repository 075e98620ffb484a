"""What is promised of a corridor, and how near it is to being broken.

The objective is looked at over the last few minutes together, so that one bad minute does not
break it. It has three parts, each with a position: 0 is nothing at all, 1 is the limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from gateway.foresight.signals import Minute


class Part(Enum):
    """A part of the objective, in the order in which positions are given."""

    LATENCY = "latency"
    FAILURES = "failures"
    WEBHOOKS = "webhooks"


PARTS = tuple(Part)


@dataclass(frozen=True, slots=True)
class Objective:
    """The limits that a corridor promises to stay within.

    Over `window_minutes`: the 95th percentile of latency in milliseconds (mean of the minutes,
    weighted by calls), the share of calls that failed technically (errors, time-outs and
    rate-limit answers; never declines), and the mean lag of webhooks in seconds. Fewer than
    `least_failures` failures break nothing, however few calls there were.
    """

    window_minutes: int = 5
    latency_p95_ms: float = 2_500.0
    failure_share: float = 0.05
    least_failures: int = 5
    webhook_lag_s: float = 120.0

    def __post_init__(self) -> None:
        if not 1 <= self.window_minutes <= 60:
            raise ValueError(f"window_minutes must be 1 to 60, not {self.window_minutes}")
        if not 0 < self.failure_share < 1:
            raise ValueError(f"failure_share must be between 0 and 1, not {self.failure_share}")
        for name in ("latency_p95_ms", "least_failures", "webhook_lag_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")

    def latency_position(self, latency_p95_ms: float) -> float:
        """How near a latency is to its limit."""
        return latency_p95_ms / self.latency_p95_ms

    def failure_position(self, failures: float, calls: float) -> float:
        """How near the failures of a whole window are to their limit."""
        return failures / max(self.failure_share * calls, self.least_failures)

    def webhook_position(self, webhook_lag_s: float) -> float:
        """How near a lag is to its limit."""
        return webhook_lag_s / self.webhook_lag_s

    def positions(self, window: Iterable[Minute]) -> tuple[float, float, float]:
        """The positions of the three parts over a window; a part that nobody saw is at 0."""
        calls = timed_calls = failures = 0
        latency = lag = 0.0
        lags = 0
        for minute in window:
            calls += minute.calls
            failures += minute.failures
            if minute.latency_p95_ms is not None:
                timed_calls += minute.calls
                latency += minute.calls * minute.latency_p95_ms
            if minute.webhook_lag_s is not None:
                lags += 1
                lag += minute.webhook_lag_s
        return (
            self.latency_position(latency / timed_calls) if timed_calls else 0.0,
            self.failure_position(failures, calls),
            self.webhook_position(lag / lags) if lags else 0.0,
        )

    def broken(self, window: Iterable[Minute]) -> tuple[Part, ...]:
        """The parts that a window breaks."""
        positions = self.positions(window)
        return tuple(part for part, at in zip(PARTS, positions, strict=True) if at >= 1.0)
