"""How a corridor stands with foresight, and the step from one minute to the next."""

from dataclasses import dataclass, field

from gateway.foresight.actions import NEUTRAL, Act, Bounds, Posture, acts, posture
from gateway.foresight.alarm import Alarm, AlarmTerms, watch
from gateway.foresight.forecast import Corridor, Forecast, foresee
from gateway.foresight.incident import Incident, follow, tell
from gateway.foresight.model import Model
from gateway.foresight.objective import Objective
from gateway.foresight.signals import Minute


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a corridor is foreseen and treated.

    Nothing is done to a corridor before `learning_minutes` minutes have taught what is usual.
    """

    objective: Objective
    model: Model
    alarm: AlarmTerms
    bounds: Bounds
    learning_minutes: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What foresight remembers of a corridor, how it is treated, and its incident if there is one.

    An incident that ended in the last minute is there once, with its end.
    """

    corridor: Corridor = field(default_factory=Corridor)
    alarm: Alarm = field(default_factory=Alarm)
    posture: Posture = NEUTRAL
    incident: Incident | None = None

    def has_learnt(self, terms: Terms) -> bool:
        """Whether anything may be done to the corridor."""
        return self.corridor.state.usual.minutes >= terms.learning_minutes


def step(
    standing: Standing, seen: Minute, terms: Terms
) -> tuple[Standing, Forecast, tuple[Act, ...]]:
    """The standing after a minute, what is foreseen in it, and what is to be done.

    Raises `ValueError` for a minute that is not after the last one.
    """
    may_act = standing.has_learnt(terms)
    corridor, forecast = foresee(standing.corridor, seen, terms.objective, terms.model)
    alarm, change = watch(standing.alarm, forecast, terms.alarm)
    incident = follow(standing.incident, change, forecast, acts=may_act)
    after: Posture = NEUTRAL
    to_do: tuple[Act, ...] = ()
    if may_act:
        after = posture(alarm, forecast, terms.bounds, standing.posture)
        to_do = acts(standing.posture, after, alarm, seen.minute, terms.bounds)
    if incident is not None:
        incident = tell(standing.incident, incident, forecast, after, terms.bounds)
    return Standing(corridor, alarm, after, incident), forecast, to_do
