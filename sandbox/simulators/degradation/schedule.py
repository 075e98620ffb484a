"""Which faults come when: drawn for each service, apart from each other, or taken from a file.

Each service has in 26 of 28 days 7 ramps, 4 steps, 10 decoys and 14 blips. Ramps, steps and
decoys do not overlap; blips fall anywhere, on faults as well.
"""

from collections.abc import Sequence

import numpy as np

from sandbox.simulators.degradation.causes import CAUSES, DECLINES, SIDE_SIGNALS, SURGE
from sandbox.simulators.degradation.faults import Fault, Kind, Points, Shape
from sandbox.simulators.degradation.signals import Series

RAMPS, STEPS, DECOYS, BLIPS = 7, 4, 10, 14
FREE_MINUTES = 2 * 1_440
LEAST_GAP_MINUTES = 90
RAMP_SHAPES = ("linear", "exponential", "stepwise", "sawtooth")
DECOY_SHAPES = {
    "hump": 0.35,
    "plateau": 0.2,
    "sawtooth": 0.15,
    SURGE: 0.15,
    SIDE_SIGNALS: 0.1,
    DECLINES: 0.05,
}
MECHANISMS = tuple(CAUSES)


def draw(
    rng: np.random.Generator, place: int, minutes: int, shapes: Sequence[Shape]
) -> tuple[Fault, ...]:
    """The faults of one service, in order of their start."""
    courses = [_ramp(rng, shapes) for _ in range(RAMPS)]
    courses += [_step(rng) for _ in range(STEPS)]
    courses += [_decoy(rng, shapes) for _ in range(DECOYS)]
    order = rng.permutation(len(courses))
    faults = [
        Fault(place, cause, kind, start, points, shape)
        for start, (kind, shape, cause, points) in zip(
            _starts(rng, [courses[i][3] for i in order], minutes),
            [courses[i] for i in order],
            strict=True,
        )
    ]
    for _ in range(BLIPS):
        kind, shape, cause, points = _blip(rng)
        start = int(rng.integers(0, minutes - 10))
        faults.append(Fault(place, cause, kind, start, points, shape))
    return tuple(sorted(faults, key=lambda fault: fault.start_minute))


def severities(points: Points) -> Series:
    """The severity at each whole minute from the first point to the last."""
    moments, heights = zip(*points, strict=True)
    course: Series = np.interp(np.arange(int(np.ceil(moments[-1])) + 1), moments, heights)
    return course


Course = tuple[Kind, str, str, Points]


def _starts(rng: np.random.Generator, courses: list[Points], minutes: int) -> list[int]:
    """Starts in order, with the least gap between faults and the spare time at random."""
    lengths = [int(np.ceil(points[-1][0])) + 1 + LEAST_GAP_MINUTES for points in courses]
    spare = minutes - FREE_MINUTES - sum(lengths)
    if spare < 0:
        raise ValueError(f"{minutes} minutes are too few for the faults of a service")
    cuts = np.sort(rng.integers(0, spare + 1, len(courses)))
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return [int(FREE_MINUTES + cut + passed) for cut, passed in zip(cuts, before, strict=True)]


def _mechanism(rng: np.random.Generator) -> str:
    return MECHANISMS[rng.integers(len(MECHANISMS))]


def _minutes(rng: np.random.Generator, least: float, most: float) -> float:
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def _ramp(rng: np.random.Generator, shapes: Sequence[Shape]) -> Course:
    """To severity 1 in 15 to 180 minutes, on to 1.3 to 2, held for a while, healed fast."""
    rise = _minutes(rng, 15, 180)
    top = rng.uniform(1.3, 2.0)
    own = [shape for shape in shapes if shape.kind is Kind.RAMP]
    if own:
        chosen = own[rng.integers(len(own))]
        name, points = chosen.name, _scaled(chosen, rise * top, top)
    else:
        name = RAMP_SHAPES[rng.integers(len(RAMP_SHAPES))]
        points = _rise(rng, name, rise, top)
    return Kind.RAMP, name, _mechanism(rng), _held_and_healed(rng, points)


def _rise(rng: np.random.Generator, name: str, rise: float, top: float) -> Points:
    if name == "linear":
        return (0.0, 0.0), (rise * top, top)
    if name == "exponential":
        bend = rng.uniform(2, 4)
        end = np.log1p(top * np.expm1(bend)) / bend
        moments = np.linspace(0, end, 24)
        heights = np.expm1(bend * moments) / np.expm1(bend)
        return tuple((float(m * rise), float(h)) for m, h in zip(moments, heights, strict=True))
    if name == "stepwise":
        return _stairs(rng, rise, top)
    teeth = int(rng.integers(2, 5))
    points = _teeth(rng, rise, teeth)
    return (*points, (points[-1][0] + rise / teeth * top, top))


def _stairs(rng: np.random.Generator, rise: float, top: float) -> Points:
    """Four to eight steps to severity 1, of uneven height and length, then on."""
    count = int(rng.integers(4, 9))
    heights = np.cumsum(rng.uniform(0.6, 1.4, count))
    heights *= 1 / heights[-1]
    lengths = np.cumsum(rng.uniform(0.6, 1.4, count))
    lengths *= rise / lengths[-1]
    points = [(0.0, 0.0)]
    for moment, height in zip(lengths, heights, strict=True):
        points += [(float(moment), points[-1][1]), (float(moment) + 1, float(height))]
    last = points[-1][0] + rise / count
    return (*points, (last, 1.0), (last + 1, top))


def _teeth(rng: np.random.Generator, rise: float, count: int) -> Points:
    """A leak that restarts cut off at 0.4 to 0.75, one restart after the other."""
    points = [(0.0, 0.0)]
    for _ in range(count):
        height = float(rng.uniform(0.4, 0.75))
        top = points[-1][0] + rise / count * height
        points += [(top, height), (top + 1, 0.0)]
    return tuple(points)


def _scaled(shape: Shape, length: float, height: float) -> Points:
    highest = max(point[1] for point in shape.points)
    return tuple((share * length, at / highest * height) for share, at in shape.points)


def _held_and_healed(rng: np.random.Generator, points: Points) -> Points:
    moment, height = points[-1]
    held = moment + _minutes(rng, 10, 60)
    return (*points, (held, height), (held + rng.uniform(1, 8), 0.0))


def _step(rng: np.random.Generator) -> Course:
    """To severity 1.3 to 4 within a minute."""
    top = rng.uniform(1.3, 4.0)
    held = _minutes(rng, 15, 90)
    points = ((0.0, top), (held, top), (held + rng.uniform(1, 8), 0.0))
    return Kind.STEP, "step", _mechanism(rng), points


def _blip(rng: np.random.Generator) -> Course:
    """One to three minutes of severity 0.5 to 1.6."""
    top, length = rng.uniform(0.5, 1.6), int(rng.integers(0, 3))
    return Kind.BLIP, "blip", _mechanism(rng), ((0.0, top), (float(length), top))


def _decoy(rng: np.random.Generator, shapes: Sequence[Shape]) -> Course:
    """Something that rises to 0.4 to 0.8 of the way to the limit, as ramps do, and goes back."""
    top = rng.uniform(0.4, 0.8)
    rise, fall = _minutes(rng, 15, 180) * top, _minutes(rng, 5, 90)
    own = [shape for shape in shapes if shape.kind is Kind.DECOY]
    if own:
        chosen = own[rng.integers(len(own))]
        return (
            Kind.DECOY,
            chosen.name,
            _mechanism(rng),
            (*_scaled(chosen, rise + fall, top), (rise + fall + 1, 0.0)),
        )
    name = str(rng.choice(list(DECOY_SHAPES), p=list(DECOY_SHAPES.values())))
    cause = name if name in (SURGE, SIDE_SIGNALS, DECLINES) else _mechanism(rng)
    if name == "sawtooth":
        return Kind.DECOY, name, cause, _teeth(rng, rise / top, int(rng.integers(2, 5)))
    hold = _minutes(rng, 20, 120) if name == "plateau" else rng.uniform(0, 10)
    if name == "plateau":
        rise = min(rise, 20.0)
    if cause in (SURGE, SIDE_SIGNALS):
        top *= 2
    return (
        Kind.DECOY,
        name,
        cause,
        ((0.0, 0.0), (rise, top), (rise + hold, top), (rise + hold + fall, 0.0)),
    )
