"""Alarms: a forecast that has said the same for long enough, and an end that is as deliberate."""

from dataclasses import dataclass
from enum import Enum

from gateway.foresight.forecast import Forecast

# The alarm looks at the longest horizon: ten minutes' warning needs a look beyond ten minutes.
WATCHED_HORIZON = -1
# No term looks further back.
MOST_COUNTED = 60


class Change(Enum):
    """What a minute did to an alarm."""

    NONE = "none"
    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class AlarmTerms:
    """When an alarm is raised and cleared; probabilities of a breach within 40 minutes.

    Raised when, of the last `within_minutes` minutes, the probability was at `raise_at` in
    `confirm_minutes`, this one among them, and something stirred in `stirring_minutes`: so a spike
    is over before it raises one, and a fault that falls back and returns need not begin anew. Or
    at once when the objective breaks, or a minute after a step was found, if it has stayed, which
    a spike of three minutes has not. Cleared when the probability has been below `clear_at` for
    `quiet_minutes` minutes.
    """

    raise_at: float = 0.18
    clear_at: float = 0.08
    confirm_minutes: int = 1
    stirring_minutes: int = 5
    within_minutes: int = 12
    quiet_minutes: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.clear_at <= self.raise_at < 1:
            raise ValueError(
                "clear_at must be above 0 and at most raise_at, which must be below 1: "
                f"they are {self.clear_at} and {self.raise_at}"
            )
        for name in ("within_minutes", "quiet_minutes"):
            if not 1 <= getattr(self, name) <= MOST_COUNTED:
                raise ValueError(f"{name} must be 1 to {MOST_COUNTED}, not {getattr(self, name)}")
        for name in ("confirm_minutes", "stirring_minutes"):
            if not 1 <= getattr(self, name) <= self.within_minutes:
                raise ValueError(
                    f"{name} must be 1 to within_minutes, which is {self.within_minutes}, "
                    f"not {getattr(self, name)}"
                )


@dataclass(frozen=True, slots=True)
class Alarm:
    """The alarm of a corridor; `since` is the minute in which it was raised, if it stands.

    `likely` and `stirred` say of each of the last minutes, one bit each and the newest lowest,
    whether a breach was likely and whether something stirred, while no alarm stands.
    """

    since: int | None = None
    likely: int = 0
    stirred: int = 0
    quiet_minutes: int = 0

    @property
    def stands(self) -> bool:
        """Whether it stands."""
        return self.since is not None


def watch(alarm: Alarm, forecast: Forecast, terms: AlarmTerms) -> tuple[Alarm, Change]:
    """The alarm after a forecast."""
    chance = forecast.probabilities[WATCHED_HORIZON]
    if alarm.since is None:
        window = (1 << terms.within_minutes) - 1
        is_likely = chance >= terms.raise_at
        likely = (alarm.likely << 1 | is_likely) & window
        stirred = (alarm.stirred << 1 | (forecast.part is not None)) & window
        confirmed = (
            is_likely
            and likely.bit_count() >= terms.confirm_minutes
            and stirred.bit_count() >= terms.stirring_minutes
        )
        if confirmed or forecast.broken or forecast.stayed:
            return Alarm(since=forecast.minute), Change.RAISED
        return Alarm(likely=likely, stirred=stirred), Change.NONE
    quiet = alarm.quiet_minutes + 1 if chance < terms.clear_at else 0
    if quiet >= terms.quiet_minutes:
        return Alarm(), Change.CLEARED
    return Alarm(since=alarm.since, quiet_minutes=quiet), Change.NONE
