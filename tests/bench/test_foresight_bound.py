"""The observer who knows the world's laws: what he believes are chances, and he knows a ramp."""

import numpy as np
import pytest

from bench.foresight_bound import HORIZONS, Judged, chances, courses, table
from sandbox.simulators.degradation import world
from sandbox.simulators.degradation.faults import Kind
from sandbox.simulators.degradation.signals import healthy
from sandbox.simulators.degradation.world import DAY, DAYS

SEED = 1_009


def test_what_he_believes_of_a_ramp() -> None:
    known = courses(np.random.default_rng(0), 400)
    service = world(SEED, services=1).services[0]
    health = healthy(np.random.default_rng([SEED, 0]), 0, DAYS * DAY)
    ramp = next(
        fault
        for fault in service.faults
        if fault.kind is Kind.RAMP and fault.shape == "exponential"
    )
    breach = service.breach(ramp)
    assert breach is not None
    told = chances(service, health, ramp, breach - ramp.start_minute, known, SEED)
    assert told.shape == (breach - ramp.start_minute, len(HORIZONS))
    assert (told >= 0).all()
    assert (told <= 1 + 1e-9).all()
    assert (np.diff(told, axis=1) >= -1e-9).all()
    assert told[-1, -1] > 0.9 > told[0, -1]


@pytest.mark.parametrize(("minute", "warned"), [(14, True), (15, True), (16, False)])
def test_a_ramp_is_warned_of_five_minutes_before_or_not_at_all(minute: int, warned: bool) -> None:
    told = np.zeros((21, len(HORIZONS)))
    told[minute:] = 0.5
    assert Judged(20, told).is_alarmed(10, 0.5) is warned
    assert Judged(None, told).is_alarmed(10, 0.5)
    assert not Judged(None, told).is_alarmed(10, 0.51)


def test_the_table_counts_decoys_that_drive_nothing_as_quiet() -> None:
    sure = np.ones((21, len(HORIZONS)))
    lines = list(table([Judged(20, sure), Judged(None, sure), Judged(None, 0 * sure)]))
    assert lines[0].startswith("1 ramps, 2 decoys")
    assert all("1.000/0.350" in line for line in lines[2:])
