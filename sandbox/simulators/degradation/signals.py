"""A service in health: its signals before anything breaks, and the noise on them.

Each service draws its own traffic, levels, seasons and noise. Traffic has two harmonics of the day,
weekends, growth, and a wander over hours. Noise is a first-order autoregression in the logarithm
with Student-t innovations of 4 degrees of freedom, so that it is autocorrelated and heavy-tailed;
the three latency quantiles share most of it. On latencies there is a second, slow autoregression
that wanders over hours as creeping faults do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

DAY = 1_440
# What is drawn as a level with noise; counts are drawn from the shares afterwards.
LEVELS = (
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
)
SHARES = (
    "errors",
    "timeouts",
    "rate_limited",
    "issuer_declines",
    "fraud_declines",
    "funds_declines",
)
LATENCIES = LEVELS[:3]
TAIL_DEGREES = 4.0
SLOW_MEMORY = 0.995


@dataclass(frozen=True)
class Health:
    """A service without faults: expected calls and levels, and the noise that comes on them."""

    calls: Series
    load: Series
    levels: dict[str, Series]
    noise: dict[str, Series]


def healthy(rng: np.random.Generator, first_minute: int, minutes: int) -> Health:
    """A service drawn anew, over the minutes from one of the week on."""
    clock = np.arange(first_minute, first_minute + minutes)
    load = _load(rng, clock)
    calls = np.exp(rng.uniform(np.log(60), np.log(1_500))) * load
    levels = {name: level * load**exponent for name, (level, exponent) in _levels(rng).items()}
    levels["database_latency_ms"] *= _nightly(rng, clock)
    return Health(calls, load, levels, _noise(rng, minutes))


def _load(rng: np.random.Generator, clock: NDArray[np.int64]) -> Series:
    angle = 2 * np.pi * (clock % DAY) / DAY
    day = rng.uniform(0.35, 0.6) * np.sin(angle - rng.uniform(1.8, 2.6))
    day += rng.uniform(0.05, 0.2) * np.sin(2 * angle - rng.uniform(0, 2 * np.pi))
    weekend = (clock // DAY) % 7 >= 5
    week = np.where(weekend, rng.uniform(0.6, 1.1), 1.0)
    growth = 1 + rng.uniform(-0.005, 0.01) * (clock - clock[0]) / DAY
    wander = autoregression(rng, (1, len(clock)), np.array([SLOW_MEMORY]))[0] * rng.uniform(
        0.03, 0.08
    )
    load: Series = np.maximum(1 + day, 0.15) * week * growth * np.exp(wander)
    return load


def _nightly(rng: np.random.Generator, clock: NDArray[np.int64]) -> Series:
    """A backup slows the database at the same hour each night, which is season and no fault."""
    start, length = rng.integers(0, 6 * 60), rng.integers(20, 60)
    inside = (clock % DAY - start) % DAY < length
    return np.where(inside, rng.uniform(1.5, 3.0), 1.0)


def _levels(rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Each level at mean load, and the power of the load that it goes with."""

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    p50 = between(180, 380)
    p95 = p50 * between(2.0, 3.0)
    p99 = p95 * between(1.5, 2.2)
    slowing = rng.uniform(0.1, 0.35)
    return {
        "latency_p50_ms": (p50, slowing),
        "latency_p95_ms": (p95, slowing),
        "latency_p99_ms": (p99, slowing),
        "in_flight_age_s": (p99 / 1000 * between(1.1, 1.6), slowing),
        "webhook_lag_s": (between(2, 12), rng.uniform(0, 0.3)),
        "webhook_gap_share": (between(0.0005, 0.004), 0.0),
        "event_loop_lag_ms": (between(1.5, 6), rng.uniform(0.2, 0.6)),
        "pool_wait_ms": (between(0.3, 3), rng.uniform(0.4, 1.0)),
        "database_latency_ms": (between(1.5, 8), rng.uniform(0.1, 0.4)),
        "queue_age_s": (between(0.4, 3), rng.uniform(0.2, 0.8)),
        "errors": (between(0.0005, 0.004), 0.0),
        "timeouts": (between(0.0003, 0.002), rng.uniform(0, 0.3)),
        "rate_limited": (between(0.00005, 0.001), rng.uniform(0, 1.0)),
        "issuer_declines": (between(0.05, 0.1), 0.0),
        "fraud_declines": (between(0.005, 0.02), 0.0),
        "funds_declines": (between(0.02, 0.05), 0.0),
    }


def _noise(rng: np.random.Generator, minutes: int) -> dict[str, Series]:
    """Factors of every level, around 1."""
    names = (*LEVELS, *SHARES, "shared", "slow")
    memory = rng.uniform(0.5, 0.9, len(names))
    memory[-1] = SLOW_MEMORY
    waves = dict(zip(names, autoregression(rng, (len(names), minutes), memory), strict=True))
    slow = rng.uniform(0.03, 0.08) * waves.pop("slow")
    shared = waves.pop("shared")
    widths = dict.fromkeys(LEVELS, (0.12, 0.3)) | dict.fromkeys(SHARES, (0.1, 0.35))
    widths |= dict.fromkeys(SHARES[3:], (0.03, 0.1))
    widths |= {
        "latency_p50_ms": (0.03, 0.07),
        "latency_p95_ms": (0.05, 0.11),
        "latency_p99_ms": (0.09, 0.18),
    }
    factors = {}
    for name, (low, high) in widths.items():
        wave = waves[name]
        if name in LATENCIES:
            wave = 0.8 * shared + 0.6 * wave
        factors[name] = np.exp(rng.uniform(low, high) * wave + (slow if name in LATENCIES else 0))
    return factors


def autoregression(
    rng: np.random.Generator, shape: tuple[int, int], memory: NDArray[np.float64]
) -> Series:
    """Rows of a first-order autoregression with heavy tails, each of variance 1."""
    innovations = rng.standard_t(TAIL_DEGREES, (shape[1], shape[0]))
    innovations *= np.sqrt((TAIL_DEGREES - 2) / TAIL_DEGREES) * np.sqrt(1 - memory**2)
    state = rng.standard_normal(shape[0])
    for row in innovations:
        state *= memory
        state += row
        row[:] = state
    return np.ascontiguousarray(innovations.T)
