"""What is foreseen of a corridor: one minute in, the state after it and a forecast out.

The forecast says how likely the objective is broken within 10, 20 and 40 minutes, when (if it is
likely enough to say), which part, and which signals say so. It also finds steps: a part that
jumps towards its limit or past it, which nothing foretold.
"""

from dataclasses import dataclass, field

from gateway.foresight.model import HORIZONS, Model
from gateway.foresight.objective import PARTS, Objective, Part
from gateway.foresight.reading import Reading, State, read
from gateway.foresight.signals import Minute
from gateway.foresight.steps import NO_STEPS, StepState, find_steps, stayed
from gateway.foresight.usual import SIGNALS

# Below this chance of a breach within the longest horizon no time is given.
LEAST_CHANCE_FOR_A_TIME = 0.1
# A signal is named when it strays so many deviations, and never more than so many signals.
NAMED_STRAYS = 3.0
MAX_NAMED = 6


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signal that says so: its name, how many deviations it is from usual, and how that moves."""

    signal: str
    deviations: float
    trend: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is foreseen in a minute.

    `probabilities` are those of `HORIZONS`; `probability` is the first, for ten minutes. Of an
    objective that is broken now they are 1. `minutes_to_breach` is the expected time if the breach
    comes within the longest horizon, and `None` where that is unlikely. `part` is the part nearest
    to its limit, unless all are calm; `steps` are the parts that jumped in this minute, `stayed`
    those that jumped in the one before and have not come back.
    """

    minute: int
    probabilities: tuple[float, ...]
    minutes_to_breach: float | None
    broken: tuple[Part, ...]
    part: Part | None
    evidence: tuple[Evidence, ...]
    steps: tuple[Part, ...]
    stayed: tuple[Part, ...] = ()

    @property
    def probability(self) -> float:
        """That the objective is broken within ten minutes."""
        return self.probabilities[0]


@dataclass(frozen=True, slots=True)
class Corridor:
    """All that foresight remembers of a corridor."""

    state: State = field(default_factory=State)
    steps: StepState = NO_STEPS


def foresee(
    corridor: Corridor, seen: Minute, objective: Objective, model: Model
) -> tuple[Corridor, Forecast]:
    """The next minute of a corridor; raises `ValueError` for one that is not after the last."""
    state, reading = read(corridor.state, seen, objective)
    steps, jumped = find_steps(corridor.steps, reading)
    broken = tuple(
        part for part, found in zip(PARTS, reading.parts, strict=True) if found.position >= 1.0
    )
    probabilities = (1.0,) * len(HORIZONS) if broken else model.probabilities(reading)
    worst = None
    if not all(found.calm for found in reading.parts):
        index = max(range(len(PARTS)), key=lambda at: _chance(reading, model, at))
        worst = PARTS[index]
    return Corridor(state, steps), Forecast(
        minute=seen.minute,
        probabilities=probabilities,
        minutes_to_breach=0.0 if broken else minutes_to_breach(probabilities),
        broken=broken,
        part=worst,
        evidence=() if worst is None else _evidence(reading),
        steps=jumped,
        stayed=stayed(corridor.steps, steps),
    )


def minutes_to_breach(probabilities: tuple[float, ...]) -> float | None:
    """The mean time to a breach, given that it comes within the longest horizon.

    Between two horizons the breach is taken to come in the middle.
    """
    if probabilities[-1] < LEAST_CHANCE_FOR_A_TIME:
        return None
    passed, chance, total = 0.0, 0.0, 0.0
    for horizon, probability in zip(HORIZONS, probabilities, strict=True):
        total += (probability - chance) * (passed + horizon) / 2
        passed, chance = float(horizon), probability
    return total / probabilities[-1]


def _chance(reading: Reading, model: Model, index: int) -> float:
    found = reading.parts[index]
    return max(found.position, model.horizons[-1].part(found.features))


def _evidence(reading: Reading) -> tuple[Evidence, ...]:
    named = [
        Evidence(name, round(stray, 1), round(trend, 1))
        for name, stray, trend in zip(SIGNALS, reading.strays, reading.trends, strict=True)
        if abs(stray) >= NAMED_STRAYS
    ]
    return tuple(sorted(named, key=lambda one: -abs(one.deviations))[:MAX_NAMED])
