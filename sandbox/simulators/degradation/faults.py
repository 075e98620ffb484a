"""Faults as data: shapes that a severity takes, faults at a place and time, and their file.

A severity of 0 is health and 1 is where a limit is reached. A file in TOML may bring shapes of its
own, from which worlds draw in place of theirs, and faults that come just as they are written:

    form = "faults/1"

    [[shape]]
    name = "late bend"
    kind = "ramp"                 # or "decoy"
    points = [[0, 0], [0.7, 0.2], [1, 1]]      # [share of the rise, share of the height]

    [[fault]]
    place = 2                     # the number of the service or corridor, from 0
    cause = "slow_database"       # what breaks; each simulator names its own
    kind = "ramp"                 # "ramp", "step", "blip" or "decoy"
    start_minute = 20000
    points = [[0, 0], [30, 0.6], [60, 1.3], [90, 1.3], [95, 0]]      # [minute, severity]

Points are joined by straight lines. A file that breaks a rule is refused with the place in it.
"""

import math
import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

FORM = "faults/1"
MAX_FILE_BYTES = 1 << 20
MAX_ENTRIES = 10_000
MAX_POINTS = 1_000
MAX_SEVERITY = 10.0

Points = tuple[tuple[float, float], ...]


class FaultFileError(ValueError):
    """A file of faults that cannot be read; says where in it and why."""


class Kind(Enum):
    """What a fault is meant to be; whether it broke anything is seen in what came of it."""

    RAMP = "ramp"
    STEP = "step"
    BLIP = "blip"
    DECOY = "decoy"


@dataclass(frozen=True)
class Shape:
    """A course in units of its rise: from (0, 0) to share 1 of the rise."""

    name: str
    kind: Kind
    points: Points


@dataclass(frozen=True)
class Fault:
    """A fault at a place: severities at minutes since its start, joined by straight lines."""

    place: int
    cause: str
    kind: Kind
    start_minute: int
    points: Points
    shape: str = "given"

    @property
    def end_minute(self) -> int:
        """The first minute that it does not touch."""
        return self.start_minute + math.ceil(self.points[-1][0]) + 1


@dataclass(frozen=True)
class FaultFile:
    """What a file says."""

    shapes: tuple[Shape, ...] = ()
    faults: tuple[Fault, ...] = ()


def read_faults(path: Path, *, places: int, minutes: int, causes: frozenset[str]) -> FaultFile:
    """A file's shapes and faults, for a world of so many places and minutes with such causes.

    Raises `FaultFileError`, and `OSError` where the file cannot be opened.
    """
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise FaultFileError(f"{path.name}: larger than {MAX_FILE_BYTES} bytes")
    try:
        told = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FaultFileError(f"{path.name}: not TOML: {error}") from error
    try:
        return _file(told, places, minutes, causes)
    except FaultFileError as error:
        raise FaultFileError(f"{path.name}: {error}") from None


def _file(told: dict[str, Any], places: int, minutes: int, causes: frozenset[str]) -> FaultFile:
    _known(told, {"form", "shape", "fault"}, "the file")
    if told.get("form") != FORM:
        raise FaultFileError(f"form must be {FORM!r}, not {told.get('form')!r}")
    shapes = tuple(_shape(entry, f"shape {n}") for n, entry in _entries(told, "shape"))
    names = [shape.name for shape in shapes]
    for name in names:
        if names.count(name) > 1:
            raise FaultFileError(f"two shapes are named {name!r}")
    faults = tuple(
        _fault(entry, f"fault {n}", places, minutes, causes) for n, entry in _entries(told, "fault")
    )
    return FaultFile(shapes, faults)


def _entries(told: dict[str, Any], name: str) -> list[tuple[int, dict[str, Any]]]:
    entries = told.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FaultFileError(f"{name} must be tables, written [[{name}]]")
    if len(entries) > MAX_ENTRIES:
        raise FaultFileError(f"more than {MAX_ENTRIES} entries of {name}")
    return list(enumerate(entries, start=1))


def _shape(entry: dict[str, Any], where: str) -> Shape:
    _known(entry, {"name", "kind", "points"}, where)
    name = _text(entry, "name", where)
    kind = _kind(entry, where, (Kind.RAMP, Kind.DECOY))
    points = _points(entry, where)
    if points[-1][0] != 1:
        raise FaultFileError(f"{where}: the last point must be at share 1, not {points[-1][0]:g}")
    if not any(height > 0 for _, height in points):
        raise FaultFileError(f"{where}: a shape must rise above 0")
    return Shape(name, kind, points)


def _fault(
    entry: dict[str, Any], where: str, places: int, minutes: int, causes: frozenset[str]
) -> Fault:
    _known(entry, {"place", "cause", "kind", "start_minute", "points"}, where)
    cause = _text(entry, "cause", where)
    if cause not in causes:
        raise FaultFileError(f"{where}: no cause {cause!r}; there are {', '.join(sorted(causes))}")
    fault = Fault(
        place=_number(entry, "place", where, places),
        cause=cause,
        kind=_kind(entry, where, tuple(Kind)),
        start_minute=_number(entry, "start_minute", where, minutes),
        points=_points(entry, where),
    )
    if fault.end_minute > minutes:
        raise FaultFileError(f"{where}: ends after the world, in minute {fault.end_minute}")
    return fault


def _known(entry: dict[str, Any], keys: set[str], where: str) -> None:
    for key in sorted(entry.keys() - keys):
        raise FaultFileError(f"{where}: unknown key {key!r}; there are {', '.join(sorted(keys))}")


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise FaultFileError(f"{where}: {key} must be a text")
    return value


def _number(entry: dict[str, Any], key: str, where: str, below: int) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise FaultFileError(f"{where}: {key} must be a whole number from 0 to {below - 1}")
    return value


def _kind(entry: dict[str, Any], where: str, kinds: tuple[Kind, ...]) -> Kind:
    for kind in kinds:
        if entry.get("kind") == kind.value:
            return kind
    raise FaultFileError(f"{where}: kind must be one of {', '.join(k.value for k in kinds)}")


def _points(entry: dict[str, Any], where: str) -> Points:
    told = entry.get("points")
    if not isinstance(told, list) or not 2 <= len(told) <= MAX_POINTS:
        raise FaultFileError(f"{where}: points must be 2 to {MAX_POINTS} pairs")
    points: list[tuple[float, float]] = []
    for number, pair in enumerate(told, start=1):
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_number, pair)):
            raise FaultFileError(f"{where}: point {number} must be a pair of numbers")
        moment, severity = float(pair[0]), float(pair[1])
        if points and moment < points[-1][0]:
            raise FaultFileError(f"{where}: point {number} is before the one in front of it")
        if not 0 <= severity <= MAX_SEVERITY:
            raise FaultFileError(f"{where}: point {number} must be from 0 to {MAX_SEVERITY:g} high")
        points.append((moment, severity))
    if points[0][0] != 0:
        raise FaultFileError(f"{where}: the first point must be at 0, not {points[0][0]:g}")
    return tuple(points)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
