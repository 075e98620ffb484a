"""What an alarm may do to its corridor, within bounds that operators set; and that it is undone.

The posture towards a corridor follows from its alarm and forecast alone. Nothing is added up from
minute to minute, so that nothing can be left over: when no alarm stands the posture is `NEUTRAL`,
but for the minute in which a step is found. Then traffic is taken off at once and for that minute
alone, without an incident: what stays raises an alarm in the next, and a spike is over by then.
A corridor is never closed by this, since operators' bounds keep a share of both traffic and
concurrency.
"""

from dataclasses import dataclass
from enum import Enum

from gateway.foresight.alarm import WATCHED_HORIZON, Alarm
from gateway.foresight.forecast import Forecast

LEAST_KEPT = 0.05
# Smaller changes than this of discount or concurrency are not made; undoing always is.
LEAST_CHANGE = 0.05


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far foresight may go with a corridor; 0, 1, `None` and `False` turn each act off.

    `most_discount` is the most that routing may take off a corridor's score, `least_concurrency`
    the least share of its concurrency that stays, `probe_every_minutes` how often a probe is sent
    while an alarm stands, `incidents` whether events of incidents are written.
    """

    most_discount: float = 0.5
    least_concurrency: float = 0.5
    probe_every_minutes: int | None = 2
    incidents: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.most_discount <= 1 - LEAST_KEPT:
            raise ValueError(
                f"most_discount must be 0 to {1 - LEAST_KEPT}, not {self.most_discount}"
            )
        if not LEAST_KEPT <= self.least_concurrency <= 1:
            raise ValueError(
                f"least_concurrency must be {LEAST_KEPT} to 1, not {self.least_concurrency}"
            )
        if self.probe_every_minutes is not None and not 1 <= self.probe_every_minutes <= 60:
            raise ValueError(
                f"probe_every_minutes must be 1 to 60 or none, not {self.probe_every_minutes}"
            )


@dataclass(frozen=True, slots=True)
class Posture:
    """How a corridor is treated: discount of its score, share of its concurrency, an incident."""

    discount: float = 0.0
    concurrency: float = 1.0
    incident: bool = False


NEUTRAL = Posture()


class Act(Enum):
    """One thing to do."""

    DISCOUNT = "discount"
    CONCURRENCY = "concurrency"
    PROBE = "probe"
    OPEN_INCIDENT = "open incident"
    CLOSE_INCIDENT = "close incident"


def posture(alarm: Alarm, forecast: Forecast, bounds: Bounds, before: Posture) -> Posture:
    """The posture after a forecast: as far towards the bounds as a breach is likely.

    A breach that is likely within ten minutes weighs as it is, one within forty by half; while the
    objective is broken, or a step is found, the bounds are reached. Small changes keep what was
    before.
    """
    if not alarm.stands and not forecast.steps:
        return NEUTRAL
    weight = (
        1.0
        if forecast.broken or forecast.steps
        else max(forecast.probability, forecast.probabilities[WATCHED_HORIZON] / 2)
    )
    discount = bounds.most_discount * weight
    # Rounding must not go below what operators keep.
    concurrency = max(bounds.least_concurrency, 1 - (1 - bounds.least_concurrency) * weight)
    if _keeps(before.discount, discount, bounds.most_discount):
        discount = before.discount
    if _keeps(1 - before.concurrency, 1 - concurrency, 1 - bounds.least_concurrency):
        concurrency = before.concurrency
    return Posture(discount, concurrency, bounds.incidents and alarm.stands)


def acts(
    before: Posture, after: Posture, alarm: Alarm, minute: int, bounds: Bounds
) -> tuple[Act, ...]:
    """What has to be done to come from one posture to the next, in this minute."""
    found = []
    if after.discount != before.discount:
        found.append(Act.DISCOUNT)
    if after.concurrency != before.concurrency:
        found.append(Act.CONCURRENCY)
    every = bounds.probe_every_minutes
    if alarm.since is not None and every is not None and (minute - alarm.since) % every == 0:
        found.append(Act.PROBE)
    if after.incident and not before.incident:
        found.append(Act.OPEN_INCIDENT)
    if before.incident and not after.incident:
        found.append(Act.CLOSE_INCIDENT)
    return tuple(found)


def _keeps(before: float, wanted: float, most: float) -> bool:
    """Whether what was before is near enough to the wanted, and within bounds that may be new."""
    return 0 < before <= most and abs(wanted - before) < LEAST_CHANGE
