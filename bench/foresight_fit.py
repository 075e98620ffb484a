"""Fits the model of the forecast on simulated worlds, and writes it as data with its hash.

`python -m bench.foresight_fit` plays the seeds below, none of which is a public one: a logistic
regression for each horizon on the first, and the calibration on the others. The same seeds and
code write the same bytes.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.foresight.model import FORM, HORIZONS, content_hash
from gateway.foresight.reading import FEATURES, State, read
from runtime.command_line import command_parser
from sandbox.simulators.degradation import world
from sandbox.simulators.degradation.world import DAY, DAYS, FIRST_MINUTE, SERVICES

FITTED_ON = tuple(range(1001, 1009))
CALIBRATED_ON = tuple(range(1009, 1013))
OUTPUT = Path("gateway/foresight/data/model.json")
# The first days are for learning what is usual.
FROM_MINUTE = 2 * DAY
RIDGE = 1.0
NEWTON_STEPS = 30
CALIBRATION_BINS = 24

Floats = NDArray[np.float64]


class Played(NamedTuple):
    """A world read: rows of features with their place (service, minute, part), and what broke."""

    features: Floats
    places: NDArray[np.int64]
    broken: NDArray[np.bool_]


def play(seed: int) -> Played:
    """Reads a world minute after minute and keeps the parts that are not calm."""
    features, places, broken = [], [], []
    played = world(seed)
    for service in played.services:
        state = State()
        for index, minute in enumerate(service.minutes()):
            state, reading = read(state, minute, played.objective)
            for part, found in enumerate(reading.parts):
                if not found.calm:
                    features.append(found.features)
                    places.append((service.place, index, part))
        broken.append(service.broken)
    return Played(np.array(features), np.array(places), np.stack(broken))


def breaks_within(played: Played, horizon: int) -> NDArray[np.bool_]:
    """For each service, minute and part whether it breaks in one of the next minutes."""
    services, minutes, parts = played.broken.shape
    total = np.concatenate(
        [np.zeros((services, 1, parts), int), np.cumsum(played.broken, axis=1)], axis=1
    )
    here = np.arange(minutes)
    until = np.minimum(here + horizon + 1, minutes)
    within: NDArray[np.bool_] = total[:, until] > total[:, here + 1]
    return within


def logistic(features: Floats, came: NDArray[np.bool_]) -> tuple[float, Floats]:
    """Ridge-penalised logistic regression by Newton's method; intercept and weights."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(features)), (features - mean) / scale])
    penalty = RIDGE * np.eye(design.shape[1])
    penalty[0, 0] = 0
    weights = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        told = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (told - came) + penalty @ weights
        curve = (design * (told * (1 - told))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    own = weights[1:] / scale
    return float(weights[0] - own @ mean), own


def joint(played: Played, intercept: float, weights: Floats, calm_rate: float) -> Floats:
    """The uncalibrated probability of each service and minute."""
    told = np.full(played.broken.shape, calm_rate)
    scores = np.clip(intercept + played.features @ weights, -30, 30)
    told[tuple(played.places.T)] = 1 / (1 + np.exp(-scores))
    whole: Floats = 1 - np.prod(1 - told, axis=2)
    return whole


def monotone(told: Floats, came: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Pooled adjacent violators over bins of equal count: points of a rising table."""
    order = np.argsort(told, kind="stable")
    blocks: list[list[float]] = []
    for chunk in np.array_split(order, CALIBRATION_BINS):
        blocks.append([float(told[chunk].sum()), float(came[chunk].sum()), float(len(chunk))])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    sums = np.array(blocks)
    return sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]


def fit(fitted: Sequence[Played], calibrated: Sequence[Played]) -> Iterator[dict[str, Any]]:
    """The horizons' entries in a model."""
    features = np.concatenate([played.features for played in fitted])
    keep = np.concatenate([_scored(played) for played in fitted])
    for horizon in HORIZONS:
        within = [breaks_within(played, horizon) for played in fitted]
        came = np.concatenate(
            [one[tuple(played.places.T)] for one, played in zip(within, fitted, strict=True)]
        )
        intercept, weights = logistic(features[keep], came[keep])
        calm_rate = _calm_rate(fitted, within)
        told, happened = [], []
        for played in calibrated:
            whole = joint(played, intercept, weights, calm_rate)
            busy = _busy(played)
            told.append(whole[busy])
            happened.append(np.asarray(breaks_within(played, horizon).any(axis=2))[busy])
        points, rates = monotone(np.concatenate(told), np.concatenate(happened))
        floor = 1 - (1 - calm_rate) ** 3
        yield {
            "minutes": horizon,
            "intercept": round(intercept, 9),
            "weights": [round(float(weight), 9) for weight in weights],
            "calm_rate": round(calm_rate, 9),
            "told": [round(floor, 9), *(round(float(v), 9) for v in points if v > 2 * floor), 1.0],
            "came": _rising(
                floor, [float(r) for p, r in zip(points, rates, strict=True) if p > 2 * floor]
            ),
        }


def _rising(floor: float, rates: list[float]) -> list[float]:
    table = [floor]
    for rate in [*rates, 1.0 if not rates else rates[-1]]:
        table.append(max(table[-1], rate))
    return [round(value, 9) for value in table]


def _scored(played: Played) -> NDArray[np.bool_]:
    late = played.places[:, 1] >= FROM_MINUTE
    whole: NDArray[np.bool_] = np.asarray(~played.broken[tuple(played.places.T)])
    return late & whole


def _busy(played: Played) -> NDArray[np.bool_]:
    """Services' minutes with a part that is not calm, while nothing is broken."""
    busy = np.zeros(played.broken.shape[:2], dtype=bool)
    busy[played.places[:, 0], played.places[:, 1]] = True
    busy[:, :FROM_MINUTE] = False
    whole: NDArray[np.bool_] = np.asarray(~played.broken.any(axis=2))
    return busy & whole


def _calm_rate(fitted: Sequence[Played], within: Sequence[NDArray[np.bool_]]) -> float:
    came = total = 0
    for played, one in zip(fitted, within, strict=True):
        calm = ~played.broken
        calm[tuple(played.places.T)] = False
        calm[:, :FROM_MINUTE] = False
        came += int(one[calm].sum())
        total += int(calm.sum())
    return max(came / total, 1e-6)


def main() -> None:
    """Plays the seeds on all processors, fits, and writes the model."""
    parser = command_parser("bench.foresight_fit", __doc__ or "")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        played = list(pool.map(play, (*FITTED_ON, *CALIBRATED_ON)))
    count = len(FITTED_ON)
    told: dict[str, Any] = {
        "form": FORM,
        "fitted_on": {
            "simulator": "sandbox/simulators/degradation",
            "fitted_on_seeds": list(FITTED_ON),
            "calibrated_on_seeds": list(CALIBRATED_ON),
            "services": SERVICES,
            "first_minute": FIRST_MINUTE + FROM_MINUTE,
            "end_minute": FIRST_MINUTE + DAYS * DAY,
        },
        "features": list(FEATURES),
        "horizons": list(fit(played[:count], played[count:])),
    }
    told["sha256"] = content_hash(told)
    arguments.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
