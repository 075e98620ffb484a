"""What breaks, and which signals it moves.

A cause has one part of the objective that it drives: at severity 1 that part's healthy value has
risen to its limit. Besides, it moves other signals, some before and some after: each fault draws
which of them take part, how strongly, and with which power of the severity, so that no two faults
of a cause look the same and none can be known by one signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.foresight.objective import Objective, Part
from sandbox.simulators.degradation.signals import LATENCIES, Health, Series


@dataclass(frozen=True)
class Cause:
    """The part that a cause drives (by which share, for failures), and how it multiplies others."""

    part: Part
    share: str | None
    others: Mapping[str, float]


CAUSES = {
    "slow_stripe": Cause(
        Part.LATENCY,
        None,
        {"in_flight_age_s": 2, "timeouts": 4, "pool_wait_ms": 2, "queue_age_s": 2},
    ),
    "leaking_process": Cause(
        Part.LATENCY, None, {"event_loop_lag_ms": 8, "queue_age_s": 3, "in_flight_age_s": 1.5}
    ),
    "slow_database": Cause(
        Part.LATENCY, None, {"database_latency_ms": 6, "pool_wait_ms": 10, "queue_age_s": 3}
    ),
    "failing_stripe": Cause(
        Part.FAILURES, "errors", {"webhook_gap_share": 3, "queue_age_s": 2, "latency_p99_ms": 0.3}
    ),
    "timing_out": Cause(
        Part.FAILURES,
        "timeouts",
        {"in_flight_age_s": 5, "latency_p99_ms": 1, "latency_p95_ms": 0.4},
    ),
    "rate_limited": Cause(Part.FAILURES, "rate_limited", {"queue_age_s": 5, "webhook_lag_s": 0.5}),
    "webhook_backlog": Cause(
        Part.WEBHOOKS, None, {"webhook_gap_share": 8, "queue_age_s": 4, "database_latency_ms": 1}
    ),
}
# Decoys of their own kind; they drive no part of the objective.
SURGE, SIDE_SIGNALS, DECLINES = "traffic_surge", "side_signals", "issuer_declines"
DECOY_CAUSES = (SURGE, SIDE_SIGNALS, DECLINES)
NAMES = frozenset({*CAUSES, *DECOY_CAUSES})

TAKES_PART = 0.75
# How far the other quantiles of latency go with the 95th percentile, as powers of its ratio.
QUANTILE_POWERS = (0.6, 1.0, 1.1)


def apply(
    rng: np.random.Generator,
    health: Health,
    calls: Series,
    levels: dict[str, Series],
    cause: str,
    start: int,
    severity: Series,
    objective: Objective,
) -> None:
    """Lets a fault act upon calls and levels from a minute on."""
    reach = slice(start, start + len(severity))
    if cause == SURGE:
        factor = 1 + severity
        calls[reach] *= factor
        for name in (*LATENCIES, "in_flight_age_s", "pool_wait_ms", "queue_age_s"):
            levels[name][reach] *= factor ** rng.uniform(0.15, 0.5)
        levels["rate_limited"][reach] *= factor**2
    elif cause == DECLINES:
        levels["issuer_declines"][reach] *= 1 + 2 * severity
    elif cause == SIDE_SIGNALS:
        known = CAUSES[str(rng.choice(["slow_database", "leaking_process", "webhook_backlog"]))]
        _move_others(rng, levels, known, reach, severity)
    else:
        _drive(health, levels, CAUSES[cause], reach, severity, objective)
        _move_others(rng, levels, CAUSES[cause], reach, severity)


def _drive(
    health: Health,
    levels: dict[str, Series],
    cause: Cause,
    reach: slice,
    severity: Series,
    objective: Objective,
) -> None:
    if cause.part is Part.LATENCY:
        healthy = health.levels["latency_p95_ms"][reach]
        ratio = 1 + severity * np.maximum(objective.latency_p95_ms / healthy - 1, 0)
        for name, power in zip(LATENCIES, QUANTILE_POWERS, strict=True):
            levels[name][reach] *= ratio**power
    elif cause.part is Part.WEBHOOKS:
        healthy = health.levels["webhook_lag_s"][reach]
        levels["webhook_lag_s"][reach] += severity * (objective.webhook_lag_s - healthy)
    else:
        assert cause.share is not None, "a cause of failures names their class"
        healthy = sum(
            (health.levels[name][reach] for name in ("errors", "timeouts", "rate_limited")),
            np.zeros(len(severity)),
        )
        levels[cause.share][reach] += severity * (objective.failure_share - healthy)


def _move_others(
    rng: np.random.Generator,
    levels: dict[str, Series],
    cause: Cause,
    reach: slice,
    severity: Series,
) -> None:
    for name, gain in cause.others.items():
        takes_part = rng.random() < TAKES_PART
        drawn = gain * np.exp(0.5 * rng.standard_normal())
        power = rng.uniform(0.5, 1.5)
        if takes_part:
            levels[name][reach] *= 1 + drawn * severity**power
