"""What is usual for a corridor: each signal's level by time of day, and how far it strays.

Signals are looked at on a scale on which their noise is even: the logarithm of a measure, the
square root of a share. Levels are kept for each quarter of an hour of a weekday and of a weekend
day, and learnt with clipped steps, so that a spike teaches little. What strays is learnt in the
same way. All of it is bounded: 192 rows of 14 numbers.
"""

import math
from dataclasses import dataclass

from gateway.foresight.signals import MINUTES_A_DAY, Minute, minute_of_week

QUARTERS_A_DAY = 96
MINUTES_A_QUARTER = MINUTES_A_DAY // QUARTERS_A_DAY
ROWS = 2 * QUARTERS_A_DAY
SATURDAY = 5
# A row is believed after so many minutes; until then the other kind of day's, or the level of all.
LEAST_VISITS = 8
# A row forgets over some four days, the level of all over four hours, the straying over a day.
ROW_STEP = 1 / 60
LEVEL_STEP = 1 / 240
STRAY_STEP = 1 / 1_000
CLIP = 3.0
# The mean of the absolute value of a normal variable is this share of its deviation.
NORMAL_MEAN_ABSOLUTE = 0.798
LEAST_STRAY = 0.02
# Counts go no further, so that a state stays as small as it is.
MOST_COUNTED = 1_000_000

SIGNALS = (
    "calls",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "in_flight_age_s",
    "webhook_lag_s",
    "webhook_gap_share",
    "event_loop_lag_ms",
    "pool_wait_ms",
    "database_latency_ms",
    "queue_age_s",
    "failures",
    "issuer_declines",
    "other_declines",
)
CALLS, LATENCY, LAG, FAILURES = 0, 2, 5, 11
# Added before the logarithm, so that 0 has one.
OFFSET = 0.01

Row = tuple[float, ...]
Seen = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Usual:
    """Learnt levels: `rows[i]` with `visits[i]` minutes in it, `level` over all, and `stray`."""

    visits: tuple[int, ...] = (0,) * ROWS
    rows: tuple[Row | None, ...] = (None,) * ROWS
    level: Row | None = None
    stray: Row = (0.1,) * len(SIGNALS)
    minutes: int = 0

    def expected(self, minute: int) -> Row | None:
        """The levels to expect in a minute; `None` before anything was seen."""
        row = _row(minute)
        if self.visits[row] >= LEAST_VISITS:
            return self.rows[row]
        other = (row + QUARTERS_A_DAY) % ROWS
        if self.visits[other] >= LEAST_VISITS:
            return self.rows[other]
        return self.level


def evened(seen: Minute) -> Seen:
    """A minute's signals on the scale on which their noise is even, in the order of `SIGNALS`."""
    calls = seen.calls
    return (
        math.log(calls + 1),
        _log(seen.latency_p50_ms),
        _log(seen.latency_p95_ms),
        _log(seen.latency_p99_ms),
        _log(seen.in_flight_age_s),
        _log(seen.webhook_lag_s),
        None if seen.webhook_gap_share is None else math.sqrt(seen.webhook_gap_share),
        _log(seen.event_loop_lag_ms),
        _log(seen.pool_wait_ms),
        _log(seen.database_latency_ms),
        _log(seen.queue_age_s),
        _root_share(seen.failures, calls),
        _root_share(seen.issuer_declines, calls),
        _root_share(seen.fraud_declines + seen.funds_declines, calls),
    )


def learn(usual: Usual, minute: int, seen: Seen) -> Usual:
    """What is usual after a minute that was usual itself."""
    expected = usual.expected(minute)
    if expected is None:
        expected = tuple(0.0 if value is None else value for value in seen)
    row = _row(minute)
    visits = usual.visits[row]
    # A row that has been seen little learns faster, and from the whole distance.
    believed = visits >= LEAST_VISITS
    pace = max(1 / (visits + 1), ROW_STEP)
    level_pace = max(1 / (usual.minutes + 1), LEVEL_STEP)
    stray_pace = max(1 / (usual.minutes + 20), STRAY_STEP)
    learnt, levels, strays = [], [], []
    for value, at, old, level, stray in zip(
        seen,
        expected,
        usual.rows[row] or expected,
        usual.level or expected,
        usual.stray,
        strict=True,
    ):
        if value is None:
            learnt.append(old)
            levels.append(level)
            strays.append(stray)
            continue
        away = value - at
        most = CLIP * stray
        clipped = most if away > most else max(away, -most)
        learnt.append(old + pace * (at - old + (clipped if believed else away)))
        levels.append(level + level_pace * (value - level))
        stray += stray_pace * (abs(clipped) / NORMAL_MEAN_ABSOLUTE - stray)
        strays.append(max(LEAST_STRAY, stray))
    return Usual(
        visits=(*usual.visits[:row], min(visits + 1, MOST_COUNTED), *usual.visits[row + 1 :]),
        rows=(*usual.rows[:row], tuple(learnt), *usual.rows[row + 1 :]),
        level=tuple(levels),
        stray=tuple(strays),
        minutes=min(usual.minutes + 1, MOST_COUNTED),
    )


def _row(minute: int) -> int:
    day, into_day = divmod(minute_of_week(minute), MINUTES_A_DAY)
    return into_day // MINUTES_A_QUARTER + (QUARTERS_A_DAY if day >= SATURDAY else 0)


def _log(value: float | None) -> float | None:
    return None if value is None else math.log(value + OFFSET)


def _root_share(count: int, calls: int) -> float | None:
    return math.sqrt((count + 0.375) / (calls + 0.75)) if calls else None
