"""What alarms were worth in a simulated world: leads, misses, false alarms, and calibration.

A ramp is warned of when an alarm that began after the ramp did stands five minutes before the
breach. Its lead is counted from the start of the alarm that stands at the breach; a ramp without
one has a lead of 0. An alarm belongs to the fault during which it began, or that healed less than
15 minutes before. One that belongs to nothing and that no breach follows within 20 minutes is
false. The first week is for learning and is not scored.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sandbox.simulators.degradation.faults import Fault, Kind
from sandbox.simulators.degradation.world import DAY, Service

SCORED_FROM = 7 * DAY
LEAST_LEAD_MINUTES = 5
AFTER_HEALING_MINUTES = 15
FOLLOWED_WITHIN_MINUTES = 20
STEP_FOUND_WITHIN_MINUTES = 2
STEP_SEARCHED_MINUTES = 10
BINS = 10

Alarm = tuple[int, int]


@dataclass
class Tally:
    """Counts over services and seeds; worlds are added to it one after the other."""

    leads: list[float] = field(default_factory=list)
    warned: int = 0
    by_shape: Counter[tuple[str, str]] = field(default_factory=Counter)
    false_alarms: int = 0
    decoy_alarms: int = 0
    alarms: int = 0
    decoys: int = 0
    decoys_alarmed: int = 0
    step_delays: list[float] = field(default_factory=list)
    false_steps: int = 0
    service_weeks: float = 0.0

    def add(self, other: "Tally") -> None:
        """Takes in what another counted."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, mine + value)

    @property
    def ramps(self) -> int:
        """Ramps that broke the objective."""
        return len(self.leads)

    @property
    def warned_share(self) -> float:
        """The share of ramps that were warned of in time."""
        return self.warned / self.ramps if self.ramps else math.nan

    @property
    def median_lead(self) -> float:
        """Minutes, over all ramps, missed ones with 0."""
        return float(np.median(self.leads)) if self.leads else math.nan

    @property
    def false_per_week(self) -> float:
        """False alarms for each service and week, without those on decoys."""
        return self.false_alarms / self.service_weeks

    @property
    def decoy_share(self) -> float:
        """The share of decoys during which an alarm began."""
        return self.decoys_alarmed / self.decoys if self.decoys else math.nan

    @property
    def steps_found_share(self) -> float:
        """The share of steps that were found within two minutes."""
        found = [delay <= STEP_FOUND_WITHIN_MINUTES for delay in self.step_delays]
        return sum(found) / len(found) if found else math.nan


def score_alarms(service: Service, alarms: Sequence[Alarm]) -> Tally:
    """A service's alarms, as minutes [start, end), against what was done to it."""
    minutes = len(service.broken)
    tally = Tally(service_weeks=(minutes - SCORED_FROM) / (7 * DAY))
    scored = [fault for fault in service.faults if fault.start_minute >= SCORED_FROM]
    breaches = {id(fault): service.breach(fault) for fault in scored}
    for fault in scored:
        breach = breaches[id(fault)]
        if fault.kind is Kind.RAMP and breach is not None:
            _score_ramp(tally, fault, breach, alarms)
        elif fault.kind is Kind.DECOY and breach is None:
            began = any(fault.start_minute <= start < fault.end_minute for start, _ in alarms)
            tally.decoys += 1
            tally.decoys_alarmed += began
            tally.by_shape[f"decoy {fault.shape}", "alarmed" if began else "quiet"] += 1
    for start, end in alarms:
        if start < SCORED_FROM:
            continue
        tally.alarms += 1
        if _belongs(start, scored, (Kind.RAMP, Kind.STEP)):
            continue
        if _breach_follows(service, start, end):
            continue
        if _belongs(start, scored, (Kind.DECOY,)):
            tally.decoy_alarms += 1
        else:
            tally.false_alarms += 1
    return tally


def score_steps(service: Service, found: Sequence[int]) -> Tally:
    """The minutes in which a step was told of, against the steps that there were."""
    tally = Tally()
    faults = [fault for fault in service.faults if fault.start_minute >= SCORED_FROM]
    for fault in faults:
        if fault.kind is Kind.STEP:
            after = [at - fault.start_minute for at in found if at >= fault.start_minute]
            delay = min(after, default=math.inf)
            tally.step_delays.append(delay if delay <= STEP_SEARCHED_MINUTES else math.inf)
    tally.false_steps = sum(
        at >= SCORED_FROM and not _belongs(at, faults, (Kind.RAMP, Kind.STEP)) for at in found
    )
    return tally


def alarms_at_random(
    rng: np.random.Generator, service: Service, like: Sequence[Alarm]
) -> list[Alarm]:
    """As many alarms as somebody else's, as long as those, at random times."""
    minutes = len(service.broken)
    starts = rng.integers(SCORED_FROM, minutes, len(like))
    return sorted(
        (int(start), min(int(start) + end - begin, minutes))
        for start, (begin, end) in zip(starts, like, strict=True)
    )


def intervals(standing: Iterable[bool]) -> list[Alarm]:
    """Runs of true, as [start, end)."""
    flags = np.concatenate([[0], np.asarray(list(standing), dtype=np.int8), [0]])
    changes = np.diff(flags)
    starts, ends = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def breaks_within(service: Service, minutes: int) -> NDArray[np.bool_]:
    """For each minute whether the objective breaks in one of the next so many."""
    broken: NDArray[np.bool_] = np.asarray(service.broken.any(axis=1))
    total = np.concatenate([[0], np.cumsum(broken)])
    here = np.arange(len(broken))
    until = np.minimum(here + minutes + 1, len(broken))
    within: NDArray[np.bool_] = total[until] > total[here + 1]
    return within


def calibration_error(told: NDArray[np.float64], came: NDArray[np.bool_]) -> float:
    """The expected calibration error over ten bins of equal width."""
    bins = np.minimum((told * BINS).astype(int), BINS - 1)
    error = 0.0
    for index in range(BINS):
        inside = bins == index
        if inside.any():
            error += inside.mean() * abs(told[inside].mean() - came[inside].mean())
    return float(error)


def _score_ramp(tally: Tally, fault: Fault, breach: int, alarms: Sequence[Alarm]) -> None:
    mine = [alarm for alarm in alarms if fault.start_minute <= alarm[0]]
    at_breach = [breach - start for start, end in mine if start < breach <= end]
    deadline = breach - LEAST_LEAD_MINUTES
    warned = any(start <= deadline < end for start, end in mine)
    tally.leads.append(float(at_breach[0]) if at_breach else 0.0)
    tally.warned += warned
    tally.by_shape[f"ramp {fault.shape}", "warned" if warned else "missed"] += 1


def _belongs(start: int, faults: Iterable[Fault], kinds: tuple[Kind, ...]) -> bool:
    return any(
        fault.kind in kinds
        and fault.start_minute <= start < fault.end_minute + AFTER_HEALING_MINUTES
        for fault in faults
    )


def _breach_follows(service: Service, start: int, end: int) -> bool:
    until = max(end, start + FOLLOWED_WITHIN_MINUTES)
    return bool(service.broken[start:until].any())
