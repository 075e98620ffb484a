"""A minute read against what is usual: where each part of the objective stands and moves.

For each part the reading works with its severity: 0 is the level that is usual at this hour, 1 is
the limit. Level and trend of the severity come from Brown's double exponential smoothing with
three memories; other signals are counted in how far they stray. A part that is near its usual
level and moves nowhere is calm, and nothing more is asked of it.
"""

import math
from dataclasses import dataclass, field

from gateway.foresight.objective import PARTS, Objective
from gateway.foresight.signals import Minute
from gateway.foresight.usual import (
    CALLS,
    FAILURES,
    LAG,
    LATENCY,
    OFFSET,
    SIGNALS,
    Row,
    Seen,
    Usual,
    evened,
    learn,
)

# Minutes that the three smoothings remember.
MEMORIES = (3.0, 10.0, 30.0)
STEPS = FIRST, SECOND, THIRD = (1 / MEMORIES[0], 1 / MEMORIES[1], 1 / MEMORIES[2])
# Severities are clipped before they are smoothed, so that one minute cannot move all.
LEAST_SEVERITY, MOST_SEVERITY = -0.5, 2.5
# A part is calm below both: its severity now, and where its trends have it in ten minutes.
CALM_SEVERITY, CALM_AHEAD = 0.25, 0.4
# A corridor that is not calm does not teach what is usual, but for a lasting change after this.
MAX_UNTAUGHT_MINUTES = 360
# Gaps up to this are gone through as they are; after longer ones the smoothings begin anew.
MAX_GAP_MINUTES = 15
FAST_STEP, SLOW_STEP = 1 / 4, 1 / 20
MOST_STRAY = 12.0
# Which signals tell of trouble besides those that the parts are made of.
SIDE = tuple(
    SIGNALS.index(name)
    for name in (
        "in_flight_age_s",
        "webhook_gap_share",
        "event_loop_lag_ms",
        "pool_wait_ms",
        "database_latency_ms",
        "queue_age_s",
    )
)
QUIET_SHARE_OF_LIMIT = 0.9

FEATURES = (
    "window",
    "last",
    "mean_2",
    "level_3",
    "level_10",
    "level_30",
    "slope_3",
    "slope_10",
    "slope_30",
    "ahead_3",
    "ahead_10",
    "ahead_30",
    "nearness_3",
    "nearness_10",
    "nearness_30",
    "highest",
    "since_calm",
    "noise",
    "certainty_3",
    "certainty_10",
    "traffic",
    "side_most",
    "side_sum",
    "side_slope",
    "latency_p50",
    "latency_p99",
    "others",
    "is_failures",
    "is_webhooks",
)


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A part's severity: last minutes, single and double smoothings, its highest for an hour."""

    last: float = 0.0
    before: float = 0.0
    once: tuple[float, float, float] = (0.0, 0.0, 0.0)
    twice: tuple[float, float, float] = (0.0, 0.0, 0.0)
    highest: float = 0.0
    since_calm: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is remembered of a corridor, bounded."""

    usual: Usual = field(default_factory=Usual)
    minute: int = -1
    window: tuple[Minute, ...] = ()
    parts: tuple[Smoothed, Smoothed, Smoothed] = (Smoothed(), Smoothed(), Smoothed())
    fast: Row = (0.0,) * len(SIGNALS)
    slow: Row = (0.0,) * len(SIGNALS)
    untaught: int = 0


@dataclass(frozen=True, slots=True)
class PartReading:
    """A part: its position in the window, the minute's severity and the smoothed one, and what a
    model asks for, unless it is calm."""

    position: float
    last: float
    severity: float
    calm: bool
    features: Row


@dataclass(frozen=True, slots=True)
class Reading:
    """A minute read: the parts in order, and how far each signal strays (in deviations)."""

    minute: int
    parts: tuple[PartReading, ...]
    strays: Row
    trends: Row


def read(state: State, seen: Minute, objective: Objective) -> tuple[State, Reading]:
    """Reads the next minute; one that is not after the last raises `ValueError`."""
    if seen.minute <= state.minute:
        raise ValueError(f"minute {seen.minute} is not after {state.minute}, which was read last")
    if state.minute >= 0 and seen.minute - state.minute > MAX_GAP_MINUTES:
        state = State(usual=state.usual)
    signals = evened(seen)
    expected = state.usual.expected(seen.minute) or tuple(
        0.0 if value is None else value for value in signals
    )
    fast, slow = _strays(state, signals, expected)
    kept = (*state.window, seen)[-objective.window_minutes :]
    window = tuple(one for one in kept if one.minute > seen.minute - objective.window_minutes)
    positions = objective.positions(window)
    severities = _severities(seen, expected, objective, state)
    smoothed = tuple(map(_smooth, state.parts, severities))
    noises = _noises(state.usual, expected, smoothed, objective)
    common = _common(fast, slow)
    parts = tuple(
        _part(index, positions[index], smoothed, noises[index], common)
        for index in range(len(PARTS))
    )
    calm = all(part.calm for part in parts)
    untaught = 0 if calm else state.untaught + 1
    teaches = calm or untaught > MAX_UNTAUGHT_MINUTES
    after = State(
        usual=learn(state.usual, seen.minute, signals) if teaches else state.usual,
        minute=seen.minute,
        window=window,
        parts=(smoothed[0], smoothed[1], smoothed[2]),
        fast=fast,
        slow=slow,
        untaught=untaught,
    )
    return after, Reading(
        seen.minute, parts, fast, tuple(a - b for a, b in zip(fast, slow, strict=True))
    )


def _strays(state: State, signals: Seen, expected: Row) -> tuple[Row, Row]:
    """How far each signal strays from the expected, smoothed fast and slowly."""
    fast, slow = [], []
    for value, level, stray, was_fast, was_slow in zip(
        signals, expected, state.usual.stray, state.fast, state.slow, strict=True
    ):
        if value is not None:
            away = (value - level) / stray
            away = MOST_STRAY if away > MOST_STRAY else max(away, -MOST_STRAY)
            was_fast += FAST_STEP * (away - was_fast)
            was_slow += SLOW_STEP * (away - was_slow)
        fast.append(was_fast)
        slow.append(was_slow)
    return tuple(fast), tuple(slow)


def _usual_positions(expected: Row, objective: Objective) -> tuple[float, float, float]:
    return (
        objective.latency_position(math.exp(expected[LATENCY])),
        expected[FAILURES] ** 2 / objective.failure_share,
        objective.webhook_position(math.exp(expected[LAG]) - OFFSET),
    )


def _severities(
    seen: Minute, expected: Row, objective: Objective, state: State
) -> tuple[float, float, float]:
    """The severity of each part in this minute; what nobody saw stays as it was."""
    positions = (
        None if seen.latency_p95_ms is None else objective.latency_position(seen.latency_p95_ms),
        objective.failure_position(
            seen.failures * objective.window_minutes, seen.calls * objective.window_minutes
        )
        if seen.calls
        else None,
        None if seen.webhook_lag_s is None else objective.webhook_position(seen.webhook_lag_s),
    )
    usual = _usual_positions(expected, objective)
    first, second, third = (
        part.last
        if position is None
        else max(LEAST_SEVERITY, min(MOST_SEVERITY, (position - at) / _room(at)))
        for position, at, part in zip(positions, usual, state.parts, strict=True)
    )
    return first, second, third


def _room(usual_position: float) -> float:
    """From the usual to the limit; a corridor that usually lives at its limit keeps a tenth."""
    return 1.0 - min(usual_position, QUIET_SHARE_OF_LIMIT)


def _smooth(part: Smoothed, severity: float) -> Smoothed:
    (a, b, c), (d, e, f) = part.once, part.twice
    a += FIRST * (severity - a)
    b += SECOND * (severity - b)
    c += THIRD * (severity - c)
    once = (a, b, c)
    twice = (d + FIRST * (a - d), e + SECOND * (b - e), f + THIRD * (c - f))
    fast_level = 2 * once[0] - twice[0]
    return Smoothed(
        last=severity,
        before=part.last,
        once=once,
        twice=twice,
        highest=max(fast_level, part.highest - part.highest / 60),
        since_calm=min(part.since_calm + 1, 600) if once[1] > CALM_SEVERITY / 2 else 0,
    )


def _noises(
    usual: Usual, expected: Row, parts: tuple[Smoothed, ...], objective: Objective
) -> tuple[float, float, float]:
    """The deviation of each part's severity from minute to minute, where it is now."""
    at = _usual_positions(expected, objective)
    levels = [
        max(0.0, base + part.once[1] * _room(base)) for base, part in zip(at, parts, strict=True)
    ]
    share = levels[1] * objective.failure_share
    return (
        usual.stray[LATENCY] * levels[0] / _room(at[0]),
        2 * math.sqrt(share) * usual.stray[FAILURES] / objective.failure_share / _room(at[1]),
        usual.stray[LAG] * levels[2] / _room(at[2]),
    )


def _common(fast: Row, slow: Row) -> Row:
    """What signals say that no part is made of: traffic, the side signals, latency's quantiles."""
    side = [fast[index] for index in SIDE]
    return (
        fast[CALLS],
        max(side),
        sum(max(0.0, min(value, 6.0) - 1.0) for value in side),
        max(fast[index] - slow[index] for index in SIDE),
        fast[1],
        fast[3],
    )


def _part(
    index: int, position: float, parts: tuple[Smoothed, ...], noise: float, common: Row
) -> PartReading:
    part = parts[index]
    first, second, third = part.once
    level = 2 * first - part.twice[0]
    calm = (
        part.last < CALM_SEVERITY
        and level < CALM_SEVERITY
        and second < CALM_SEVERITY
        and _ahead(second, part.twice[1], SECOND) < CALM_AHEAD
        and _ahead(third, part.twice[2], THIRD) < CALM_AHEAD
        and position < QUIET_SHARE_OF_LIMIT
    )
    if calm:
        return PartReading(position, part.last, level, True, ())
    levels = [2 * once - twice for once, twice in zip(part.once, part.twice, strict=True)]
    ahead = [
        _ahead(once, twice, step)
        for once, twice, step in zip(part.once, part.twice, STEPS, strict=True)
    ]
    slopes = [at - level for at, level in zip(ahead, levels, strict=True)]
    near = [_nearness(level, slope) for level, slope in zip(levels, slopes, strict=True)]
    spread = noise + 0.03
    others = max(other.once[0] for at, other in enumerate(parts) if at != index)
    features = (
        min(position, 3.0), part.last, (part.last + part.before) / 2, *levels,
        *slopes, *ahead, *near, part.highest, math.log1p(part.since_calm), min(noise, 1.0),
        max(-6.0, min(6.0, (ahead[0] - 1) / spread)), max(-6.0, min(6.0, (ahead[1] - 1) / spread)),
        *common, others, float(index == 1), float(index == 2),
    )  # fmt: skip
    return PartReading(position, part.last, level, False, features)


def _ahead(once: float, twice: float, step: float) -> float:
    """Where a smoothing's trend has the severity in ten minutes."""
    return 2 * once - twice + 10 * step / (1 - step) * (once - twice)


def _nearness(level: float, slope_10: float) -> float:
    """1 where the trend is at the limit now, and less the later it will be there."""
    if level >= 1:
        return 1.0
    if slope_10 <= 0:
        return 0.0
    return 1 / (1 + (1 - level) / slope_10)
