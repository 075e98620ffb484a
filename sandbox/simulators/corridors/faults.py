"""What goes wrong with corridors: incidents that pass and shifts that stay, drawn or read.

The form of the file (TOML or JSON) is in docs/corridor-simulator.md, with an example beside this
module, `faults.example.toml`. A file that is not of this form is refused whole.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = ("HARD", "PARTIAL", "RAMP")
EFFECTS = ("ERROR", "TIMEOUT", "DECLINE")
MAX_FAULTS = 1_000
MAX_FILE_BYTES = 1_000_000
MAX_SHIFT = 5.0


class FaultsError(ValueError):
    """A file of faults that is not of the form; says which fault and which key."""


@dataclass(frozen=True)
class Incident:
    """A time in which a corridor fails for a share of the payments of a scope.

    A RAMP grows from nothing to `severity` over `ramp_s` and then stays; others are there at once.
    `region` and `network` are None where all are hit.
    """

    corridor: int
    shape: str
    effect: str
    start_s: float
    duration_s: float
    severity: float
    ramp_s: float = 0.0
    region: str | None = None
    network: str | None = None

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Shift:
    """From `start_s` on, the log-odds of approval are higher by `log_odds` in a scope."""

    corridor: int
    start_s: float
    log_odds: float
    region: str | None = None
    network: str | None = None


@dataclass(frozen=True)
class Faults:
    """All that goes wrong in a world."""

    incidents: tuple[Incident, ...] = ()
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class FaultRates:
    """How often faults are drawn; why these figures: docs/corridor-simulator.md."""

    incidents_per_corridor: float = 6.0
    """The mean of a Poisson distribution, for the whole of the simulated time."""
    shifts: float = 60.0
    """The mean, for all corridors together."""
    median_duration_s: float = 2_700.0


def draw_faults(
    draw: np.random.Generator,
    *,
    corridors: int,
    regions: Sequence[str],
    networks: Sequence[str],
    length_s: float,
    rates: FaultRates,
) -> Faults:
    """Incidents of all shapes and effects, and shifts."""
    incidents = [
        _draw_incident(draw, corridor, regions, networks, length_s, rates)
        for corridor in range(corridors)
        for _ in range(int(draw.poisson(rates.incidents_per_corridor)))
    ]
    shifts = [
        _draw_shift(draw, corridors, regions, networks, length_s)
        for _ in range(int(draw.poisson(rates.shifts)))
    ]
    return Faults(tuple(incidents), tuple(shifts))


def _draw_incident(
    draw: np.random.Generator,
    corridor: int,
    regions: Sequence[str],
    networks: Sequence[str],
    length_s: float,
    rates: FaultRates,
) -> Incident:
    shape = str(draw.choice(SHAPES, p=(0.35, 0.40, 0.25)))
    effect = str(draw.choice(EFFECTS, p=(0.45, 0.35, 0.20)))
    spread = float(draw.lognormal(0.0, 0.7))
    duration = min(max(rates.median_duration_s * spread, 300.0), 14_400.0)
    low, high = {"HARD": (0.85, 1.0), "PARTIAL": (0.12, 0.5), "RAMP": (0.3, 0.9)}[shape]
    # Half of what fails fails everywhere; the rest in one region or for one network.
    where = draw.random()
    return Incident(
        corridor=corridor,
        shape=shape,
        effect=effect,
        start_s=float(draw.uniform(0.0, length_s - 600.0)),
        duration_s=duration,
        severity=float(draw.uniform(low, high)),
        ramp_s=float(draw.uniform(600.0, 2_400.0)) if shape == "RAMP" else 0.0,
        region=str(draw.choice(regions)) if 0.5 <= where < 0.8 else None,
        network=str(draw.choice(networks)) if where >= 0.8 else None,
    )


def _draw_shift(
    draw: np.random.Generator,
    corridors: int,
    regions: Sequence[str],
    networks: Sequence[str],
    length_s: float,
) -> Shift:
    size = float(draw.uniform(0.5, 1.8))
    where = draw.random()
    return Shift(
        corridor=int(draw.integers(corridors)),
        start_s=float(draw.uniform(0.05, 0.9)) * length_s,
        log_odds=-size if draw.random() < 0.65 else size,
        region=str(draw.choice(regions)) if where < 0.7 else None,
        network=str(draw.choice(networks)) if where >= 0.5 else None,
    )


def read_faults(
    path: Path,
    *,
    corridors: int,
    regions: Sequence[str],
    networks: Sequence[str],
    length_s: float,
) -> Faults:
    """Reads a TOML or JSON file of faults; raises FaultsError where it is not of the form."""
    if path.suffix not in (".toml", ".json"):
        raise FaultsError(f"{path.name}: neither .toml nor .json")
    raw = path.read_bytes()
    if len(raw) > MAX_FILE_BYTES:
        raise FaultsError(f"{path.name}: {len(raw)} bytes, at most {MAX_FILE_BYTES}")
    try:
        text = raw.decode("utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (UnicodeDecodeError, ValueError) as error:
        raise FaultsError(f"{path.name}: {error}") from error
    if not isinstance(data, dict):
        raise FaultsError(f"{path.name}: an object with `incident` and `shift` is wanted")
    unknown = sorted(data.keys() - {"incident", "shift"})
    if unknown:
        raise FaultsError(f"{path.name}: unknown {unknown[0]!r}; there are incident and shift")
    reader = _Reader(corridors, tuple(regions), tuple(networks), length_s)
    incidents = tuple(
        reader.incident(f"{path.name}: incident {n}", entry)
        for n, entry in enumerate(_entries(path.name, data, "incident"), start=1)
    )
    shifts = tuple(
        reader.shift(f"{path.name}: shift {n}", entry)
        for n, entry in enumerate(_entries(path.name, data, "shift"), start=1)
    )
    return Faults(incidents, shifts)


def _entries(name: str, data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FaultsError(f"{name}: {key}: a list of tables is wanted")
    if len(entries) > MAX_FAULTS:
        raise FaultsError(f"{name}: {key}: {len(entries)} entries, at most {MAX_FAULTS}")
    return entries


@dataclass(frozen=True)
class _Reader:
    corridors: int
    regions: tuple[str, ...]
    networks: tuple[str, ...]
    length_s: float

    def incident(self, where: str, entry: Mapping[str, Any]) -> Incident:
        required = {"corridor", "shape", "effect", "start_s", "duration_s", "severity"}
        _keys(where, entry, required, {"ramp_s", "region", "network"})
        shape = _one_of(where, entry, "shape", SHAPES)
        duration = _number(where, entry, "duration_s", 1.0, self.length_s)
        if shape != "RAMP" and "ramp_s" in entry:
            raise FaultsError(f"{where}: ramp_s: only a RAMP has one")
        if shape == "RAMP" and "ramp_s" not in entry:
            raise FaultsError(f"{where}: ramp_s: missing")
        return Incident(
            corridor=self._corridor(where, entry),
            shape=shape,
            effect=_one_of(where, entry, "effect", EFFECTS),
            start_s=_number(where, entry, "start_s", 0.0, self.length_s),
            duration_s=duration,
            severity=_number(where, entry, "severity", 0.0, 1.0),
            ramp_s=_number(where, entry, "ramp_s", 1.0, duration) if shape == "RAMP" else 0.0,
            region=_optional(where, entry, "region", self.regions),
            network=_optional(where, entry, "network", self.networks),
        )

    def shift(self, where: str, entry: Mapping[str, Any]) -> Shift:
        _keys(where, entry, {"corridor", "start_s", "log_odds"}, {"region", "network"})
        return Shift(
            corridor=self._corridor(where, entry),
            start_s=_number(where, entry, "start_s", 0.0, self.length_s),
            log_odds=_number(where, entry, "log_odds", -MAX_SHIFT, MAX_SHIFT),
            region=_optional(where, entry, "region", self.regions),
            network=_optional(where, entry, "network", self.networks),
        )

    def _corridor(self, where: str, entry: Mapping[str, Any]) -> int:
        number = entry["corridor"]
        if not isinstance(number, int) or isinstance(number, bool):
            raise FaultsError(f"{where}: corridor: a whole number is wanted, not {number!r}")
        if not 0 <= number < self.corridors:
            raise FaultsError(
                f"{where}: corridor: {number} is not within 0 and {self.corridors - 1}"
            )
        return number


def _keys(where: str, entry: Mapping[str, Any], required: set[str], optional: set[str]) -> None:
    missing = sorted(required - entry.keys())
    if missing:
        raise FaultsError(f"{where}: {missing[0]}: missing")
    unknown = sorted(entry.keys() - required - optional)
    if unknown:
        raise FaultsError(f"{where}: {unknown[0]}: unknown key")


def _number(where: str, entry: Mapping[str, Any], key: str, low: float, high: float) -> float:
    number = entry[key]
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
        raise FaultsError(f"{where}: {key}: a number is wanted, not {number!r}")
    if not low <= number <= high:
        raise FaultsError(f"{where}: {key}: {number} is not within {low:g} and {high:g}")
    return float(number)


def _one_of(where: str, entry: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    value = entry[key]
    if value not in known:
        raise FaultsError(f"{where}: {key}: {value!r} is none of {', '.join(known)}")
    return str(value)


def _optional(where: str, entry: Mapping[str, Any], key: str, known: Sequence[str]) -> str | None:
    return _one_of(where, entry, key, known) if key in entry else None
