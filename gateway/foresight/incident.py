"""An alarm as it is written down: what it foresaw when it was raised, and what came."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gateway.foresight.alarm import Change
from gateway.foresight.forecast import Forecast


class IncidentState(StrEnum):
    """How an incident stands."""

    FORESEEN = "FORESEEN"
    """The alarm stands; the objective has not been broken."""
    BROKEN = "BROKEN"
    """The alarm stands, and the objective has been broken since it was raised, or with it."""
    ENDED = "ENDED"
    """The objective was broken, and the alarm is over."""
    PASSED = "PASSED"
    """The alarm is over, and the objective was never broken."""
    ABANDONED = "ABANDONED"
    """What was known of the corridor could not be read any more: nobody knows what came."""

    @property
    def is_open(self) -> bool:
        """Whether the alarm stands."""
        return self in (IncidentState.FORESEEN, IncidentState.BROKEN)


@dataclass(frozen=True, slots=True)
class Incident:
    """One alarm of one corridor; minutes are UTC minutes since 1970.

    `foreseen` is the forecast that raised it (`told_of`); `acted` whether anything was done to the
    corridor because of it, which is not so while what is usual is still being learnt.
    """

    raise_minute: int
    foreseen: Mapping[str, Any]
    acted: bool
    state: IncidentState = IncidentState.FORESEEN
    breach_minute: int | None = None
    end_minute: int | None = None

    @property
    def lead_minutes(self) -> int | None:
        """How long before the breach it was raised; 0 if the breach raised it."""
        return None if self.breach_minute is None else self.breach_minute - self.raise_minute


def told_of(forecast: Forecast) -> dict[str, Any]:
    """A forecast as JSON of `gateway.v1.CorridorForecast`, without its time."""
    told: dict[str, Any] = {
        "probabilities": [round(chance, 6) for chance in forecast.probabilities],
        "broken": [part.value for part in forecast.broken],
        "stepped": [part.value for part in forecast.steps],
        "signals": [
            {"signal": one.signal, "deviations": one.deviations, "trend": one.trend}
            for one in forecast.evidence
        ],
    }
    if forecast.minutes_to_breach is not None:
        told["minutes_to_breach"] = round(forecast.minutes_to_breach, 1)
    if forecast.part is not None:
        told["part"] = forecast.part.value
    return told


def follow(
    incident: Incident | None, change: Change, forecast: Forecast, *, acts: bool
) -> Incident | None:
    """The incident after a minute; None without one. One that has ended is told once, and then
    there is none.

    `acts` says whether something may be done to the corridor by now.
    """
    if incident is not None and not incident.state.is_open:
        incident = None
    if change is Change.RAISED:
        assert incident is None, "an alarm is raised when none stands"
        incident = Incident(forecast.minute, told_of(forecast), acts)
    if incident is None:
        return None
    if forecast.broken and incident.breach_minute is None:
        incident = replace(incident, state=IncidentState.BROKEN, breach_minute=forecast.minute)
    if change is Change.CLEARED:
        ended = incident.state is IncidentState.BROKEN
        state = IncidentState.ENDED if ended else IncidentState.PASSED
        incident = replace(incident, state=state, end_minute=forecast.minute)
    elif acts and not incident.acted:
        incident = replace(incident, acted=True)
    return incident


def abandoned(incident: Incident, minute: int) -> Incident:
    """The incident whose corridor's memory was lost."""
    return replace(incident, state=IncidentState.ABANDONED, end_minute=minute)
