"""Foresight's own record: what its alarms foretold, beside as many alarms at random."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.foresight.incident import Incident, IncidentState
from gateway.foresight.signals import MINUTES_A_WEEK

# A warning counts from this long before the breach, and no alarm is about what comes later than
# the longest horizon.
LEAST_LEAD_MINUTES = 5
MOST_LEAD_MINUTES = 40


@dataclass(frozen=True, slots=True)
class Figures:
    """The record over a time; shares are `None` where nothing was counted.

    - *breaches*: times that the objective broke; *warned* of those whose alarm had stood for
      `LEAST_LEAD_MINUTES`, *late* whose alarm had stood for less, *missed* whose breach was the
      alarm.
    - *false*: alarms that were cleared without a breach. Some of them are what was done about them.
    - *abandoned*: of which nobody knows what came.
    - `random_warned` and `random_right`: what share of the breaches as many alarms at random would
      warn of, and what share of them would be followed by a breach.
    """

    minutes_watched: int
    alarms: int
    breaches: int
    warned: int
    late: int
    missed: int
    false: int
    abandoned: int
    open: int
    median_lead_minutes: float | None
    random_warned: float | None
    random_right: float | None

    @property
    def warned_share(self) -> float | None:
        """Of the breaches, those that were warned of."""
        return self.warned / self.breaches if self.breaches else None

    @property
    def right_share(self) -> float | None:
        """Of the alarms that no breach raised and that are judged, those that one followed."""
        judged = self.warned + self.late + self.false
        return (self.warned + self.late) / judged if judged else None

    @property
    def false_a_week(self) -> float | None:
        """False alarms for each week that was watched."""
        if not self.minutes_watched:
            return None
        return self.false * MINUTES_A_WEEK / self.minutes_watched


def figures(incidents: Iterable[Incident], minutes_watched: int) -> Figures:
    """The record of one corridor's incidents in a time of which so many minutes were watched."""
    found = list(incidents)
    leads = [one.lead_minutes for one in found if one.lead_minutes is not None]
    breaches = [one.breach_minute for one in found if one.breach_minute is not None]
    foretold = [lead for lead in leads if lead > 0]
    # What the breach itself raised has foretold nothing: chance is given no alarm for it.
    alarms = len(found) - leads.count(0)
    return Figures(
        minutes_watched=minutes_watched,
        alarms=len(found),
        breaches=len(leads),
        warned=sum(lead >= LEAST_LEAD_MINUTES for lead in leads),
        late=sum(0 < lead < LEAST_LEAD_MINUTES for lead in leads),
        missed=leads.count(0),
        false=sum(one.state is IncidentState.PASSED for one in found),
        abandoned=sum(one.state is IncidentState.ABANDONED for one in found),
        open=sum(one.state.is_open for one in found),
        median_lead_minutes=float(statistics.median(foretold)) if foretold else None,
        random_warned=random_warned(alarms, minutes_watched) if breaches else None,
        random_right=random_right(breaches, minutes_watched) if alarms else None,
    )


def random_warned(alarms: int, minutes_watched: int) -> float | None:
    """How likely one of so many alarms, each in any minute, falls where it would warn of a given
    breach; `None` if nothing was watched."""
    if not minutes_watched:
        return None
    width = MOST_LEAD_MINUTES - LEAST_LEAD_MINUTES + 1
    return float(1 - (1 - min(width / minutes_watched, 1.0)) ** alarms)


def random_right(breach_minutes: Iterable[int], minutes_watched: int) -> float | None:
    """How likely an alarm in any minute is followed by a breach within the longest horizon."""
    if not minutes_watched:
        return None
    before = {
        minute - lead for minute in breach_minutes for lead in range(1, MOST_LEAD_MINUTES + 1)
    }
    return min(len(before) / minutes_watched, 1.0)
