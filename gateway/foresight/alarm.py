"""Alarms: a forecast that has said the same for long enough, and an end that is as deliberate."""

from dataclasses import dataclass
from enum import Enum

from gateway.foresight.forecast import Forecast

# The alarm looks at the longest horizon: ten minutes' warning needs a look beyond ten minutes.
WATCHED_HORIZON = -1
# Counts of minutes go no further; no term asks for more.
MOST_COUNTED = 60


class Change(Enum):
    """What a minute did to an alarm."""

    NONE = "none"
    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class AlarmTerms:
    """When an alarm is raised and cleared; probabilities of a breach within 40 minutes.

    Raised when the probability has been at `raise_at` for `confirm_minutes` minutes and something
    has stirred for `stirring_minutes`, so that a spike is over before it raises one; or at once
    when the objective breaks or a step is found. Cleared when the probability has been below
    `clear_at` for `quiet_minutes` minutes.
    """

    raise_at: float = 0.2
    clear_at: float = 0.08
    confirm_minutes: int = 2
    stirring_minutes: int = 4
    quiet_minutes: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.clear_at <= self.raise_at < 1:
            raise ValueError(
                "clear_at must be above 0 and at most raise_at, which must be below 1: "
                f"they are {self.clear_at} and {self.raise_at}"
            )
        for name in ("confirm_minutes", "stirring_minutes", "quiet_minutes"):
            if not 1 <= getattr(self, name) <= MOST_COUNTED:
                raise ValueError(f"{name} must be 1 to {MOST_COUNTED}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """The alarm of a corridor; `since` is the minute in which it was raised, if it stands."""

    since: int | None = None
    likely_minutes: int = 0
    stirring_minutes: int = 0
    quiet_minutes: int = 0

    @property
    def stands(self) -> bool:
        """Whether it stands."""
        return self.since is not None


def watch(alarm: Alarm, forecast: Forecast, terms: AlarmTerms) -> tuple[Alarm, Change]:
    """The alarm after a forecast."""
    chance = forecast.probabilities[WATCHED_HORIZON]
    if alarm.since is None:
        stirring = 0 if forecast.part is None else min(alarm.stirring_minutes + 1, MOST_COUNTED)
        likely = min(alarm.likely_minutes + 1, MOST_COUNTED) if chance >= terms.raise_at else 0
        confirmed = likely >= terms.confirm_minutes and stirring >= terms.stirring_minutes
        if confirmed or forecast.broken or forecast.steps:
            return Alarm(since=forecast.minute), Change.RAISED
        return Alarm(likely_minutes=likely, stirring_minutes=stirring), Change.NONE
    quiet = alarm.quiet_minutes + 1 if chance < terms.clear_at else 0
    if quiet >= terms.quiet_minutes:
        return Alarm(), Change.CLEARED
    return Alarm(since=alarm.since, quiet_minutes=quiet), Change.NONE
