"""What becomes of a forecast: a pure step from one look to the next, and the record's figures.

An episode is one forecast of one account and kind, from the look that first had a cause to the one
that has none, or to the freeze. What was right and wrong is counted of alarms alone:

- *foreseen*: a freeze whose alarm stood when it came; its lead is how long the alarm had stood.
- *missed*: a freeze without, also where an alarm had been taken back before.
- *averted*: an alarm whose causes were gone by then.
- *false*: an alarm that stood when the latest moment passed, and nothing had stopped.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from compliance.forecast.rules import Forecast, Kind

# A moment that moves by less than this, or than a tenth of the time that was left, is the same:
# projected volumes drift every day.
DRIFT = timedelta(days=1)
DRIFT_SHARE = 0.1
# What Stripe stops for what it wants, and not for what nobody can foresee, has these reasons.
FORESEEABLE_REASONS = frozenset(
    {
        "action_required.requested_capabilities",
        "requirements.past_due",
        "requirements.pending_verification",
    }
)


class Outcome(StrEnum):
    """Where an episode stands."""

    OPEN = "OPEN"
    FROZE = "FROZE"
    CLEARED = "CLEARED"


class Change(StrEnum):
    """What a look changed about a forecast, as clients are told."""

    APPEARED = "APPEARED"
    # An earlier moment, or it has become an alarm or uncertain.
    WORSENED = "WORSENED"
    # A later moment, or it is no alarm or not uncertain any more.
    EASED = "EASED"
    CLEARED = "CLEARED"
    FROZE = "FROZE"


@dataclass(frozen=True)
class Episode:
    """A forecast as it was last told, and what happened.

    `alarm_time` is since when it has been an alarm without a break; `was_alarm` whether it ever
    was. `latest_time` is the one by which the alarm would have come true, from when it became one.
    """

    kind: Kind
    appear_time: datetime
    told: Forecast
    alarm_time: datetime | None
    was_alarm: bool
    latest_time: datetime
    outcome: Outcome = Outcome.OPEN
    end_time: datetime | None = None


def step(
    episode: Episode | None,
    forecast: Forecast | None,
    kind: Kind,
    *,
    stopped: bool,
    as_of: datetime,
) -> tuple[Episode | None, Change | None]:
    """The episode after a look, and what to tell of it; `stopped` if the kind has just stopped.

    A change that is only drift is not told: the episode keeps what was told before.
    """
    if stopped:
        if episode is None:
            return None, None
        return replace(episode, outcome=Outcome.FROZE, end_time=as_of), Change.FROZE
    if forecast is None:
        if episode is None:
            return None, None
        return replace(episode, outcome=Outcome.CLEARED, end_time=as_of), Change.CLEARED
    if episode is None:
        return _new(forecast, kind, as_of), Change.APPEARED
    change = _change(episode.told, forecast, as_of)
    if change is None:
        return episode, None
    alarm_time = (episode.alarm_time or as_of) if forecast.is_alarm else None
    return (
        replace(
            episode,
            told=forecast,
            alarm_time=alarm_time,
            was_alarm=episode.was_alarm or forecast.is_alarm,
            # Put off by Stripe or by nobody: the alarm is as good as its newest date.
            latest_time=forecast.latest_time,
        ),
        change,
    )


def _new(forecast: Forecast, kind: Kind, as_of: datetime) -> Episode:
    return Episode(
        kind=kind,
        appear_time=as_of,
        told=forecast,
        alarm_time=as_of if forecast.is_alarm else None,
        was_alarm=forecast.is_alarm,
        latest_time=forecast.latest_time,
    )


def _change(told: Forecast, forecast: Forecast, as_of: datetime) -> Change | None:
    if told.is_alarm != forecast.is_alarm:
        return Change.WORSENED if forecast.is_alarm else Change.EASED
    if (told.uncertainty is None) != (forecast.uncertainty is None):
        return Change.EASED if forecast.uncertainty is None else Change.WORSENED
    moved = forecast.expected_time - told.expected_time
    drift = max(DRIFT, (told.expected_time - as_of) * DRIFT_SHARE)
    if _grounds(told) == _grounds(forecast) and abs(moved) < drift:
        return None
    return (
        Change.WORSENED
        if moved < timedelta(0)
        else Change.EASED
        if moved
        else _by_causes(told, forecast)
    )


def _grounds(forecast: Forecast) -> set[tuple[str, str]]:
    return {(cause.ground.value, cause.field) for cause in forecast.causes}


def _by_causes(told: Forecast, forecast: Forecast) -> Change:
    """At the same moment more causes are worse."""
    more = _grounds(forecast) - _grounds(told)
    return Change.WORSENED if more else Change.EASED


@dataclass(frozen=True)
class Freeze:
    """That a kind stopped, and since when an alarm had stood; None if none did."""

    kind: Kind
    stop_time: datetime
    disabled_reason: str
    alarm_time: datetime | None

    @property
    def is_foreseeable(self) -> bool:
        """Whether Stripe stopped for what it wants, which it tells before."""
        return self.disabled_reason in FORESEEABLE_REASONS


@dataclass(frozen=True)
class Figures:
    """The record over a time. Shares are None where nothing was counted."""

    freezes: int
    foreseen: int
    unforeseeable: int
    alarms: int
    averted: int
    false: int
    open: int
    median_lead: timedelta | None

    @property
    def recall(self) -> float | None:
        """Of all freezes, the foreseeable or not, the share that an alarm told of."""
        return self.foreseen / self.freezes if self.freezes else None

    @property
    def precision(self) -> float | None:
        """Of the alarms that came true or did not, the share that did; averted ones are neither."""
        judged = self.foreseen + self.false
        return self.foreseen / judged if judged else None


def figures(freezes: Iterable[Freeze], episodes: Iterable[Episode], as_of: datetime) -> Figures:
    """The record of these freezes and episodes, as it stands at `as_of`."""
    stops = list(freezes)
    alarms = [episode for episode in episodes if episode.was_alarm]
    leads = [stop.stop_time - stop.alarm_time for stop in stops if stop.alarm_time is not None]
    false = {id(episode) for episode in alarms if is_false(episode, as_of)}
    right = [episode for episode in alarms if id(episode) not in false]
    return Figures(
        freezes=len(stops),
        foreseen=len(leads),
        unforeseeable=sum(not stop.is_foreseeable for stop in stops),
        alarms=len(alarms),
        averted=sum(episode.outcome is Outcome.CLEARED for episode in right),
        false=len(false),
        open=sum(episode.outcome is Outcome.OPEN for episode in right),
        median_lead=_median(leads),
    )


def is_false(episode: Episode, as_of: datetime) -> bool:
    """Whether an alarm stood beyond its latest moment; it is right after all if it comes true."""
    return (
        episode.outcome is not Outcome.FROZE
        and episode.alarm_time is not None
        and episode.latest_time < (episode.end_time or as_of)
    )


def _median(lengths: list[timedelta]) -> timedelta | None:
    if not lengths:
        return None
    return timedelta(seconds=statistics.median(length.total_seconds() for length in lengths))
