"""The fitted numbers of the forecast: data that says what it was fitted on, with its hash.

For each horizon there is a logistic model of whether a part of the objective breaks within so many
minutes, over the features of a reading, and a monotone table that makes the parts' joint
probability a calibrated one. A part that is calm has a constant rate. `bench/foresight_fit.py`
fits and writes it.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from gateway.foresight.reading import FEATURES, Reading
from gateway.foresight.usual import Row

FORM = "foresight-model/1"
BUILT_IN = "model.json"
HORIZONS = (10, 20, 40)
MAX_POINTS = 64
LEAST_PROBABILITY, MOST_PROBABILITY = 1e-6, 1 - 1e-6


class ModelError(ValueError):
    """Data that is no model of this form; says why."""


@dataclass(frozen=True)
class Horizon:
    """One horizon's model: a weight for each feature, the rate of calm parts, and calibration."""

    minutes: int
    intercept: float
    weights: Row
    calm_rate: float
    told: Row
    came: Row

    def part(self, features: Row) -> float:
        """The probability that a part with such features breaks; without any it is calm."""
        if not features:
            return self.calm_rate
        score = self.intercept
        for weight, feature in zip(self.weights, features, strict=True):
            score += weight * feature
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))

    def calibrated(self, told: float) -> float:
        """What came of such a probability, by straight lines between the table's points."""
        if told <= self.told[0]:
            return self.came[0]
        if told >= self.told[-1]:
            return self.came[-1]
        right = bisect_right(self.told, told)
        left = right - 1
        share = (told - self.told[left]) / (self.told[right] - self.told[left])
        return self.came[left] + share * (self.came[right] - self.came[left])


@dataclass(frozen=True)
class Model:
    """The horizons in order, the hash of the data, and what it was fitted on."""

    sha256: str
    fitted_on: str
    horizons: tuple[Horizon, ...]

    def probabilities(self, reading: Reading) -> tuple[float, ...]:
        """The calibrated probability for each horizon; never less for a longer one."""
        found: list[float] = []
        for horizon in self.horizons:
            whole = 1.0
            for part in reading.parts:
                whole *= 1 - horizon.part(part.features)
            told = horizon.calibrated(1 - whole)
            found.append(max(told, found[-1]) if found else told)
        return tuple(found)


def content_hash(told: Mapping[str, Any]) -> str:
    """SHA-256 over everything but the hash itself, in JSON with sorted keys."""
    content = {key: value for key, value in told.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def built_in_model() -> Model:
    """The model that comes with the engine."""
    return read_model((files("gateway.foresight") / "data" / BUILT_IN).read_text("utf-8"))


def read_model(text: str) -> Model:
    """A model from its JSON; raises `ModelError` with the first thing that is wrong."""
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"not JSON: {error}") from error
    if not isinstance(told, dict) or told.get("form") != FORM:
        raise ModelError(f"not of the form {FORM}")
    if told.get("sha256") != content_hash(told):
        raise ModelError("its content is not what its sha256 was taken of")
    if tuple(told.get("features", ())) != FEATURES:
        raise ModelError("its features are not those that a reading has")
    horizons = tuple(_horizon(entry) for entry in told.get("horizons", ()))
    if tuple(horizon.minutes for horizon in horizons) != HORIZONS:
        raise ModelError(f"its horizons are not {HORIZONS}")
    return Model(told["sha256"], json.dumps(told.get("fitted_on"), sort_keys=True), horizons)


def _horizon(entry: Mapping[str, Any]) -> Horizon:
    try:
        horizon = Horizon(
            minutes=int(entry["minutes"]),
            intercept=float(entry["intercept"]),
            weights=tuple(map(float, entry["weights"])),
            calm_rate=float(entry["calm_rate"]),
            told=tuple(map(float, entry["told"])),
            came=tuple(map(float, entry["came"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"a horizon cannot be read: {error!r}") from error
    where = f"the horizon of {horizon.minutes} minutes"
    if len(horizon.weights) != len(FEATURES):
        raise ModelError(f"{where} has {len(horizon.weights)} weights for {len(FEATURES)} features")
    if not all(map(math.isfinite, (horizon.intercept, *horizon.weights))):
        raise ModelError(f"{where} has a weight that is no number")
    if not 2 <= len(horizon.told) == len(horizon.came) <= MAX_POINTS:
        raise ModelError(f"{where} needs 2 to {MAX_POINTS} points of calibration, in pairs")
    if any(a >= b for a, b in zip(horizon.told, horizon.told[1:], strict=False)):
        raise ModelError(f"{where}: what was told does not rise")
    if any(a > b for a, b in zip(horizon.came, horizon.came[1:], strict=False)):
        raise ModelError(f"{where}: what came falls")
    if not all(0 <= rate <= 1 for rate in (horizon.calm_rate, *horizon.told, *horizon.came)):
        raise ModelError(f"{where} has a probability outside 0 to 1")
    return horizon
