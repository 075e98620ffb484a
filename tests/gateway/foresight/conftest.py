"""Ten days of one service from a seed that nothing was fitted on, foreseen once for all tests."""

from dataclasses import dataclass

import pytest

from gateway.foresight.alarm import Alarm, AlarmTerms, Change, watch
from gateway.foresight.forecast import Corridor, Forecast, foresee
from gateway.foresight.model import built_in_model
from gateway.foresight.objective import Objective
from sandbox.simulators.degradation import Service, world
from sandbox.simulators.degradation.causes import CAUSES
from sandbox.simulators.degradation.faults import Fault, FaultFile, Kind, Points
from sandbox.simulators.degradation.world import DAY

UNSEEN_SEED = 2_026
DAYS = 10
SPACING_MINUTES = 480


def faults() -> tuple[Fault, ...]:
    """From the third day on, every eight hours: ramps of several lengths, decoys, and steps."""
    found = []
    for number in range(21):
        cause = sorted(CAUSES)[number % len(CAUSES)]
        kind = (Kind.RAMP, Kind.DECOY, Kind.STEP)[number % 3]
        rise = 20.0 + 10 * (number % 8)
        points: Points
        if kind is Kind.STEP:
            points = ((0.0, 2.0), (30.0, 2.0))
        elif kind is Kind.RAMP:
            points = ((0.0, 0.0), (1.5 * rise, 1.5), (1.5 * rise + 20, 1.5), (1.5 * rise + 25, 0.0))
        else:
            points = ((0.0, 0.0), (0.6 * rise, 0.6), (0.6 * rise + 10, 0.6), (rise + 30, 0.0))
        start = 3 * DAY + number * SPACING_MINUTES
        found.append(Fault(0, cause, kind, start, points))
    return tuple(found)


@dataclass(frozen=True)
class Played:
    """A service, its forecasts, whether the alarm stood, and the memory at the end."""

    service: Service
    forecasts: list[Forecast]
    stands: list[bool]
    changes: list[Change]
    corridor: Corridor
    alarm: Alarm


@pytest.fixture(scope="session")
def played() -> Played:
    file = FaultFile(faults=faults())
    service = world(UNSEEN_SEED, services=1, days=DAYS, file=file).services[0]
    corridor, alarm, terms, model = Corridor(), Alarm(), AlarmTerms(), built_in_model()
    forecasts, stands, changes = [], [], []
    for minute in service.minutes():
        corridor, forecast = foresee(corridor, minute, Objective(), model)
        alarm, change = watch(alarm, forecast, terms)
        forecasts.append(forecast)
        stands.append(alarm.stands)
        changes.append(change)
    return Played(service, forecasts, stands, changes, corridor, alarm)
