"""Steps: a part of the objective that jumps, and stays there, within minutes.

Nothing foretells a step, so all that counts is to see it soon and not to take a spike for one. A
part has stepped when each of its last three minutes lies far above where it was before them; a
spike of one or two minutes never has. A step is told once, and again only after the part has
been back below half of the jump. Of a spike of three minutes it differs a minute later: it stays.
"""

from dataclasses import dataclass

from gateway.foresight.objective import PARTS, Part
from gateway.foresight.reading import Reading

MINUTES_OF_A_STEP = 3
# In severities: the three minutes' mean, and each of them, above the level before.
LEAST_MEAN, LEAST_EACH = 1.2, 0.6
BASE_STEP = 1 / 10


@dataclass(frozen=True, slots=True)
class PartSteps:
    """A part: its last severities, the level before them, the jump that was told, and whether it
    was told in the last minute."""

    recent: tuple[float, ...] = ()
    base: float = 0.0
    told: float | None = None
    is_new: bool = False


StepState = tuple[PartSteps, ...]
NO_STEPS: StepState = (PartSteps(), PartSteps(), PartSteps())


def find_steps(state: StepState, reading: Reading) -> tuple[StepState, tuple[Part, ...]]:
    """The state after a minute, and the parts that are found to have stepped in it."""
    after = tuple(_next(part, found.last) for part, found in zip(state, reading.parts, strict=True))
    jumped = tuple(
        part
        for part, old, new in zip(PARTS, state, after, strict=True)
        if old.told is None and new.told is not None
    )
    return after, jumped


def stayed(before: StepState, after: StepState) -> tuple[Part, ...]:
    """The parts whose step was told the minute before, and that have not come back since."""
    return tuple(
        part
        for part, old, new in zip(PARTS, before, after, strict=True)
        if old.is_new and new.told is not None
    )


def _next(part: PartSteps, severity: float) -> PartSteps:
    recent = (*part.recent, severity)[-MINUTES_OF_A_STEP:]
    base = part.base
    if len(part.recent) == MINUTES_OF_A_STEP and part.told is None:
        base += BASE_STEP * (part.recent[0] - base)
    told = part.told
    if told is not None:
        told = None if severity < base + told / 2 else told
    elif len(recent) == MINUTES_OF_A_STEP:
        jump = sum(recent) / MINUTES_OF_A_STEP - base
        if jump >= LEAST_MEAN and min(recent) - base >= LEAST_EACH:
            told = jump
    return PartSteps(recent, base, told, is_new=part.told is None and told is not None)
