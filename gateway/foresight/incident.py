"""An alarm as it is written down: what it foresaw, what was told of it, and what came."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gateway.foresight.actions import NEUTRAL, Bounds, Posture
from gateway.foresight.alarm import Change
from gateway.foresight.forecast import Forecast

# While an incident stands it is told anew when a probability has moved by so much since it was told
# last, or the expected time of the breach by so many minutes; but not sooner than so many minutes
# after that, unless it has changed otherwise.
LEAST_PROBABILITY_MOVED = 0.2
LEAST_BREACH_MOVED_MINUTES = 10.0
LEAST_MINUTES_BETWEEN_UPDATES = 5


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


class IncidentChange(StrEnum):
    """What has changed of an incident."""

    OPENED = "OPENED"
    """The alarm was raised."""
    UPDATED = "UPDATED"
    """Something else is foreseen than was told, or something may be done about it by now."""
    BROKEN = "BROKEN"
    """The objective broke while the alarm stood."""
    CLOSED = "CLOSED"
    """The alarm is over, or nobody knows what became of it."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What was told of an incident with a change of it: in which minute, what was foreseen in that
    (`told_of`; empty if nothing was), how the corridor was treated, and how far operators allow."""

    change: IncidentChange
    minute: int
    foreseen: Mapping[str, Any]
    posture: Posture
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Incident:
    """One alarm of one corridor; minutes are UTC minutes since 1970.

    `foreseen` is the forecast that raised it (`told_of`); `acted` whether anything was done to the
    corridor because of it, which is not so while what is usual is still being learnt; `telling` its
    last change, None if that was written before changes were.
    """

    raise_minute: int
    foreseen: Mapping[str, Any]
    acted: bool
    state: IncidentState = IncidentState.FORESEEN
    breach_minute: int | None = None
    end_minute: int | None = None
    telling: Telling | None = None

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


def tell(
    before: Incident | None,
    incident: Incident,
    forecast: Forecast,
    posture: Posture,
    bounds: Bounds,
) -> Incident:
    """The incident with its change of this minute told; as it was told before if there is none."""
    change = change_of(before, incident, forecast)
    if change is None:
        return incident
    told = Telling(change, forecast.minute, told_of(forecast), posture, bounds)
    return replace(incident, telling=told)


def change_of(
    before: Incident | None, incident: Incident, forecast: Forecast
) -> IncidentChange | None:
    """What a minute has changed of an incident that is worth telling."""
    if not incident.state.is_open:
        return IncidentChange.CLOSED
    if before is None or before.raise_minute != incident.raise_minute:
        return IncidentChange.OPENED
    if before.state is not incident.state:
        return IncidentChange.BROKEN
    if before.acted is not incident.acted or _has_moved(incident, forecast):
        return IncidentChange.UPDATED
    return None


def abandoned(incident: Incident, minute: int, bounds: Bounds) -> Incident:
    """The incident whose corridor's memory was lost: it is treated as usual from now on."""
    told = Telling(IncidentChange.CLOSED, minute, {}, NEUTRAL, bounds)
    return replace(incident, state=IncidentState.ABANDONED, end_minute=minute, telling=told)


def _has_moved(incident: Incident, forecast: Forecast) -> bool:
    """Whether the forecast is another than was told last, for long enough after that."""
    minute, told = incident.raise_minute, incident.foreseen
    if incident.telling is not None:
        minute, told = incident.telling.minute, incident.telling.foreseen
    if forecast.minute - minute < LEAST_MINUTES_BETWEEN_UPDATES:
        return False
    was, to_breach = told.get("minutes_to_breach"), forecast.minutes_to_breach
    if was is not None and to_breach is not None:
        moved = forecast.minute + to_breach - (minute + was)
        if abs(moved) >= LEAST_BREACH_MOVED_MINUTES:
            return True
    return any(
        abs(chance - before) >= LEAST_PROBABILITY_MOVED
        for chance, before in zip(forecast.probabilities, told["probabilities"], strict=False)
    )
