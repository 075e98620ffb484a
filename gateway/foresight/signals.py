"""The signals of one corridor in one minute."""

import math
from dataclasses import dataclass, fields

MINUTES_A_DAY = 1_440
MINUTES_A_WEEK = 7 * MINUTES_A_DAY
# 1 January 1970 was a Thursday; weeks begin on Monday here.
THURSDAY = 3


@dataclass(frozen=True, slots=True)
class Minute:
    """What the engine saw of a corridor in a minute; `None` is what it could not see.

    `minute` counts UTC minutes since 1970. Counts are calls that ended in it; the classes of
    failures exclude each other. Latencies are quantiles of the calls that ended, in milliseconds;
    `in_flight_age_s` is the age of the oldest call that had not ended, `webhook_lag_s` the mean
    time from an event's making to its coming, `webhook_gap_share` the share of the events that our
    own calls promise and that have not come, `queue_age_s` the age of the oldest waiting operation.
    """

    minute: int
    calls: int
    errors: int = 0
    timeouts: int = 0
    rate_limited: int = 0
    issuer_declines: int = 0
    fraud_declines: int = 0
    funds_declines: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    in_flight_age_s: float | None = None
    webhook_lag_s: float | None = None
    webhook_gap_share: float | None = None
    event_loop_lag_ms: float | None = None
    pool_wait_ms: float | None = None
    database_latency_ms: float | None = None
    queue_age_s: float | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot have been seen; the fast way through is the good one."""
        if (
            self.minute < 0
            or self.calls < 0
            or self._counts_are_wrong()
            or self._values_are_wrong()
        ):
            raise ValueError(self._what_is_wrong())

    @property
    def failures(self) -> int:
        """The calls that failed technically."""
        return self.errors + self.timeouts + self.rate_limited

    def _counts_are_wrong(self) -> bool:
        ended = (
            self.errors,
            self.timeouts,
            self.rate_limited,
            self.issuer_declines,
            self.fraud_declines,
            self.funds_declines,
        )
        return min(ended) < 0 or sum(ended) > self.calls

    def _values_are_wrong(self) -> bool:
        # A comparison with NaN is false, so that NaN is refused here as well.
        return not all(
            value is None or 0.0 <= value < math.inf
            for value in map(self.__getattribute__, MEASURES)
        )

    def _what_is_wrong(self) -> str:
        for name in ("minute", *COUNTS):
            if getattr(self, name) < 0:
                return f"{name} must not be negative, it is {getattr(self, name)}"
        for name in MEASURES:
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                return f"{name} must be a number from 0, it is {value}"
        return f"more calls failed or were declined than the {self.calls} that ended"


_FIELDS = tuple(field.name for field in fields(Minute))
COUNTS = _FIELDS[1:8]
MEASURES = _FIELDS[8:]


def minute_of_week(minute: int) -> int:
    """Minutes since Monday 00:00 UTC."""
    return (minute + THURSDAY * MINUTES_A_DAY) % MINUTES_A_WEEK
