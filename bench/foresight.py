"""`foresight.*`: simulated weeks of eight services, foreseen by the real core minute after minute.

The world (`sandbox/simulators/degradation`) knows nothing of the forecaster, and the forecaster
sees minutes only. Ten public seeds unless `SEEDS=a,b,c` names others; `SHAPES=file` brings shapes
and faults of one's own. All four rows come from one run, and each has in it what the same alarms
at random, burn-rate rules and a static threshold come to in the same worlds:

- `foresight.ramps`: the share of creeping faults warned of five minutes or more before the breach;
- `foresight.decoys`: the share of decoys during which an alarm was raised;
- `foresight.steps`: the share of steps found within two minutes;
- `foresight.calibration`: the expected calibration error of "broken within ten minutes".
"""

import functools
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.benchmark import Target, with_target
from bench.foresight_rivals import burn_rate_alarms, static_alarms
from bench.foresight_scoring import (
    SCORED_FROM,
    Alarm,
    Tally,
    alarms_at_random,
    breaks_within,
    calibration_error,
    intervals,
    score_alarms,
    score_steps,
)
from gateway.foresight.alarm import Alarm as CorridorAlarm
from gateway.foresight.alarm import AlarmTerms, watch
from gateway.foresight.forecast import Corridor, foresee
from gateway.foresight.model import HORIZONS, built_in_model
from sandbox.simulators.degradation import Service, world
from sandbox.simulators.degradation.causes import NAMES
from sandbox.simulators.degradation.faults import FaultFile, read_faults
from sandbox.simulators.degradation.world import DAY, DAYS, PUBLIC_SEEDS, SERVICES

WARNED_AT_LEAST, LEAD_AT_LEAST, FALSE_AT_MOST = 0.95, 10.0, 0.5
DECOYS_AT_MOST, STEPS_AT_LEAST, ERROR_AT_MOST = 0.15, 0.95, 0.05
FORESIGHT = "foresight"
RIVALS: dict[str, Callable[[Service], list[Alarm]]] = {
    "static_threshold": static_alarms,
    "burn_rate": burn_rate_alarms,
}


@dataclass
class Seen:
    """A seed's result: tallies by detector, steps, and forecasts with what came of them."""

    seed: int
    tallies: dict[str, Tally]
    steps: Tally
    told: NDArray[np.float64]
    came: NDArray[np.bool_]
    busy: NDArray[np.bool_]
    cpu_s: float
    minutes: int


def foresee_service(
    service: Service, objective: Any
) -> tuple[list[Alarm], list[int], NDArray[np.float64], NDArray[np.bool_]]:
    """Plays a service: alarms, steps found, the ten minutes' probability, and where it was busy."""
    model, terms = built_in_model(), AlarmTerms()
    corridor, alarm = Corridor(), CorridorAlarm()
    stands, found, told, busy = [], [], [], []
    for index, minute in enumerate(service.minutes()):
        corridor, forecast = foresee(corridor, minute, objective, model)
        alarm, _ = watch(alarm, forecast, terms)
        stands.append(alarm.stands)
        told.append(forecast.probabilities[HORIZONS.index(10)])
        busy.append(forecast.part is not None)
        if forecast.steps:
            found.append(index)
    return intervals(stands), found, np.array(told), np.array(busy)


def play(seed: int, file: FaultFile) -> Seen:
    """A seed's world by all detectors."""
    played = world(seed, file=file)
    names = (FORESIGHT, "random", *RIVALS)
    seen = Seen(
        seed, {name: Tally() for name in names}, Tally(), np.zeros(0), np.zeros(0, bool),
        np.zeros(0, bool), 0.0, 0,
    )  # fmt: skip
    parts = []
    for service in played.services:
        began = time.process_time()
        alarms, found, told, busy = foresee_service(service, played.objective)
        seen.cpu_s += time.process_time() - began
        seen.minutes += len(told)
        seen.tallies[FORESIGHT].add(score_alarms(service, alarms))
        seen.steps.add(score_steps(service, found))
        rng = np.random.default_rng([seed, service.place, 1])
        scored = [alarm for alarm in alarms if alarm[0] >= SCORED_FROM]
        seen.tallies["random"].add(score_alarms(service, alarms_at_random(rng, service, scored)))
        for name, rival in RIVALS.items():
            seen.tallies[name].add(score_alarms(service, rival(service)))
        whole: NDArray[np.bool_] = np.asarray(~service.broken.any(axis=1))
        whole[:SCORED_FROM] = False
        parts.append((told[whole], breaks_within(service, 10)[whole], busy[whole]))
    seen.told, seen.came, seen.busy = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return seen


@functools.cache
def results() -> tuple[Seen, ...]:
    """All seeds, on all processors; kept, since four rows are made of them."""
    chosen = os.environ.get("SEEDS", "")
    seeds = tuple(int(seed) for seed in chosen.split(",") if seed.strip()) or PUBLIC_SEEDS
    shapes = os.environ.get("SHAPES", "")
    file = FaultFile()
    if shapes:
        file = read_faults(Path(shapes), places=SERVICES, minutes=DAYS * DAY, causes=NAMES)
    with ProcessPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        return tuple(pool.map(play, seeds, [file] * len(seeds)))


async def measure_ramps() -> dict[str, Any]:
    """The row of creeping faults."""
    seen = results()
    total = _total(seen, FORESIGHT)
    return with_target(
        {
            **_row("foresight.ramps", total.warned_share, "of ramps warned of in time", 1.0, "all"),
            "median_lead_minutes": total.median_lead,
            "lead_met": total.median_lead >= LEAD_AT_LEAST,
            "false_alarms_per_service_week": round(total.false_per_week, 3),
            "false_alarms_met": total.false_per_week <= FALSE_AT_MOST,
            "ramps": total.ramps,
            **_spread(seen, lambda tally: tally.warned_share, worst=min),
            "by_shape": _shares(total.by_shape, "ramp", "warned"),
            "rivals": _rivals(seen),
            "us_per_minute": round(
                1e6 * sum(one.cpu_s for one in seen) / sum(one.minutes for one in seen), 1
            ),
        },
        Target("ratio", ">=", WARNED_AT_LEAST),
    )


async def measure_decoys() -> dict[str, Any]:
    """The row of decoys."""
    seen = results()
    total = _total(seen, FORESIGHT)
    return with_target(
        {
            **_row(
                "foresight.decoys", total.decoy_share, "of decoys alarmed", DECOYS_AT_MOST, "target"
            ),
            "decoys": total.decoys,
            **_spread(seen, lambda tally: tally.decoy_share, worst=max),
            "by_shape": _shares(total.by_shape, "decoy", "alarmed"),
            "rivals": {
                name: round(_total(seen, name).decoy_share, 3) for name in ("random", *RIVALS)
            },
        },
        Target("ratio", "<=", 1.0),
    )


async def measure_steps() -> dict[str, Any]:
    """The row of steps."""
    seen = results()
    total = Tally()
    for one in seen:
        total.add(one.steps)
    weeks = _total(seen, FORESIGHT).service_weeks
    return with_target(
        {
            **_row(
                "foresight.steps",
                total.steps_found_share,
                "of steps found in 2 minutes",
                1.0,
                "all",
            ),
            "steps": len(total.step_delays),
            "median_delay_minutes": float(np.median(total.step_delays)),
            "false_steps_per_service_week": round(total.false_steps / weeks, 3),
        },
        Target("ratio", ">=", STEPS_AT_LEAST),
    )


async def measure_calibration() -> dict[str, Any]:
    """The row of calibration, over the minutes in which something stirs; over all it is smaller."""
    seen = results()
    told, came, busy = (
        np.concatenate([getattr(one, name) for one in seen]) for name in ("told", "came", "busy")
    )
    by_seed = [calibration_error(one.told[one.busy], one.came[one.busy]) for one in seen]
    base = np.full(int(busy.sum()), float(came[busy].mean()))
    return with_target(
        {
            **_row(
                "foresight.calibration",
                calibration_error(told[busy], came[busy]),
                "expected calibration error",
                ERROR_AT_MOST,
                "target",
            ),
            "over_all_minutes": round(calibration_error(told, came), 4),
            "worst_seed": round(max(by_seed), 4),
            "brier": round(_brier(told[busy], came[busy]), 4),
            "brier_of_base_rate": round(_brier(base, came[busy]), 4),
            "minutes": int(busy.sum()),
        },
        Target("ratio", "<=", 1.0),
    )


BENCHMARKS = [
    ("foresight.ramps", measure_ramps),
    ("foresight.decoys", measure_decoys),
    ("foresight.steps", measure_steps),
    ("foresight.calibration", measure_calibration),
]


def _row(name: str, value: float, unit: str, limit: float, limit_name: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "limit": limit,
        "limit_name": limit_name,
        "ratio": round(value / limit, 4),
        "seeds": [one.seed for one in results()],
    }


def _total(seen: Sequence[Seen], name: str) -> Tally:
    total = Tally()
    for one in seen:
        total.add(one.tallies[name])
    return total


def _spread(
    seen: Sequence[Seen], figure: Callable[[Tally], float], worst: Callable[[list[float]], float]
) -> dict[str, float]:
    figures = [figure(one.tallies[FORESIGHT]) for one in seen]
    return {
        "mean_of_seeds": round(statistics.mean(figures), 4),
        "worst_seed": round(worst(figures), 4),
    }


def _shares(counts: Counter[tuple[str, str]], kind: str, good: str) -> dict[str, float]:
    """The share of each shape's faults for which it was so."""
    found: dict[str, list[int]] = {}
    for (shape, what), count in counts.items():
        if shape.startswith(f"{kind} "):
            pair = found.setdefault(shape.removeprefix(f"{kind} "), [0, 0])
            pair[0] += count if what == good else 0
            pair[1] += count
    return {shape: round(hits / all_, 3) for shape, (hits, all_) in sorted(found.items())}


def _rivals(seen: Sequence[Seen]) -> dict[str, Any]:
    rows = {}
    for name in ("random", *RIVALS):
        total = _total(seen, name)
        rows[name] = {
            "warned": round(total.warned_share, 3),
            "median_lead_minutes": total.median_lead,
            "false_alarms_per_service_week": round(total.false_per_week, 3),
        }
    return rows


def _brier(told: NDArray[np.float64], came: NDArray[np.bool_]) -> float:
    return float(np.mean((told - came) ** 2))
