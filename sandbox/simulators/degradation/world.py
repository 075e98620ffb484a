"""A seed's world: services with what was seen of them, what was done to them, and what it broke."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gateway.foresight.objective import PARTS, Objective
from gateway.foresight.signals import Minute
from sandbox.simulators.degradation import causes, schedule
from sandbox.simulators.degradation.faults import Fault, FaultFile
from sandbox.simulators.degradation.signals import LATENCIES, LEVELS, SHARES, Series, healthy

SERVICES = 8
DAYS = 28
DAY = 1_440
# A Monday, 00:00 UTC: minute 0 of 4 May 2026 since 1970.
FIRST_MINUTE = 29_630_880
PUBLIC_SEEDS = tuple(range(1, 11))


@dataclass(frozen=True)
class Service:
    """Arrays over the minutes: signals as in `Minute`, and whether each part was broken."""

    place: int
    signals: dict[str, Series]
    broken: NDArray[np.bool_]
    faults: tuple[Fault, ...]

    def minutes(self) -> Iterator[Minute]:
        """What a forecaster sees, minute after minute."""
        names = [field.name for field in fields(Minute)][1:]
        columns = [
            self.signals[name].astype(int).tolist()
            if name in ("calls", *SHARES)
            else self.signals[name].tolist()
            for name in names
        ]
        for index, row in enumerate(zip(*columns, strict=True)):
            yield Minute(FIRST_MINUTE + index, *row)

    def breach(self, fault: Fault) -> int | None:
        """The first minute in which the objective was broken while a fault acted, if any."""
        inside = self.broken[fault.start_minute : fault.end_minute].any(axis=1)
        return fault.start_minute + int(inside.argmax()) if inside.any() else None


@dataclass(frozen=True)
class World:
    """The services of a seed."""

    seed: int
    objective: Objective
    services: tuple[Service, ...]


def world(
    seed: int,
    *,
    services: int = SERVICES,
    days: int = DAYS,
    file: FaultFile | None = None,
    objective: Objective | None = None,
) -> World:
    """Plays a world; the same seed and arguments give the same bits.

    A file's shapes replace the world's own, its faults come on top of those drawn. A service's
    minutes do not depend on how many services there are.
    """
    if services < 1 or days < 7:
        raise ValueError(f"a world needs a service and a week, not {services} and {days} days")
    told = file or FaultFile()
    limits = objective or Objective()
    return World(
        seed,
        limits,
        tuple(_service(seed, place, days * DAY, told, limits) for place in range(services)),
    )


def _service(seed: int, place: int, minutes: int, file: FaultFile, objective: Objective) -> Service:
    rng = np.random.default_rng([seed, place])
    health = healthy(rng, 0, minutes)
    drawn = schedule.draw(rng, place, minutes, file.shapes) if days_suffice(minutes) else ()
    given = tuple(fault for fault in file.faults if fault.place == place)
    faults = tuple(sorted((*drawn, *given), key=lambda fault: fault.start_minute))
    calls = health.calls.copy()
    levels = {name: level.copy() for name, level in health.levels.items()}
    for fault in faults:
        severity = schedule.severities(fault.points)[: minutes - fault.start_minute]
        causes.apply(
            rng, health, calls, levels, fault.cause, fault.start_minute, severity, objective
        )
    signals = _seen(rng, calls, levels, health.noise)
    return Service(place, signals, _broken(signals, objective), faults)


def days_suffice(minutes: int) -> bool:
    """Whether a history is long enough for faults to be drawn; shorter ones have a file's only."""
    return minutes >= 21 * DAY


def _seen(
    rng: np.random.Generator,
    calls: Series,
    levels: dict[str, Series],
    noise: dict[str, Series],
) -> dict[str, Series]:
    """Noise upon the levels, and whole calls drawn from the shares."""
    counted = rng.poisson(calls)
    seen: dict[str, Series] = {"calls": counted.astype(float)}
    left = counted.copy()
    for name in SHARES:
        share = np.clip(levels[name] * noise[name], 0, 0.95)
        seen[name] = np.minimum(rng.binomial(counted, share), left).astype(float)
        left -= seen[name].astype(int)
    for name in LEVELS:
        seen[name] = levels[name] * noise[name]
    seen["webhook_gap_share"] = np.minimum(seen["webhook_gap_share"], 1.0)
    # Quantiles never cross.
    for lower, upper in itertools.pairwise(LATENCIES):
        seen[upper] = np.maximum(seen[upper], seen[lower])
    return seen


def _broken(signals: dict[str, Series], objective: Objective) -> NDArray[np.bool_]:
    """Which parts each minute's window breaks, in arrays; tests compare it with the objective's."""
    width = objective.window_minutes

    def over_window(values: Series) -> Series:
        total = np.cumsum(np.concatenate([np.zeros(width), values]))
        sums: Series = total[width:] - total[:-width]
        return sums

    calls = over_window(signals["calls"])
    failures = over_window(signals["errors"] + signals["timeouts"] + signals["rate_limited"])
    latency = over_window(signals["calls"] * signals["latency_p95_ms"]) / np.maximum(calls, 1)
    lags = over_window(np.ones(len(calls)))
    lag = over_window(signals["webhook_lag_s"]) / lags
    limit = np.maximum(objective.failure_share * calls, objective.least_failures)
    broken = np.stack(
        [
            latency >= objective.latency_p95_ms,
            failures >= limit,
            lag >= objective.webhook_lag_s,
        ],
        axis=1,
    )
    assert broken.shape[1] == len(PARTS), "each part has a column"
    return broken
