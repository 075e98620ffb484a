"""How alarms are scored: by hand-made services in which each alarm's worth is plain."""

import math

import numpy as np
import pytest

from bench.foresight_rivals import burn_rate_alarms, static_alarms
from bench.foresight_scoring import (
    SCORED_FROM,
    Alarm,
    Tally,
    alarms_at_random,
    breaks_within,
    calibration_error,
    intervals,
    score_alarms,
    score_steps,
)
from sandbox.simulators.degradation import Service, world
from sandbox.simulators.degradation.faults import Fault, FaultFile, Kind
from sandbox.simulators.degradation.world import DAY

START = SCORED_FROM + 1_000
BREACH = START + 60


def service(kind: Kind, *, breaks: bool = True) -> Service:
    """A fault of two hours that breaks the objective from its second hour on, or not at all."""
    broken = np.zeros((14 * DAY, 3), dtype=bool)
    broken[BREACH : START + 120, 0] = breaks
    fault = Fault(0, "slow_stripe", kind, START, ((0.0, 0.0), (119.0, 1.5)), "made")
    return Service(0, {}, broken, (fault,))


@pytest.mark.parametrize(
    ("alarms", "warned", "lead", "false"),
    [
        ([(BREACH - 20, BREACH + 9)], 1, 20, 0),
        ([(BREACH - 5, BREACH)], 1, 5, 0),
        ([(BREACH - 4, BREACH)], 0, 4, 0),
        ([(BREACH - 20, BREACH - 4)], 1, 0, 0),
        ([(BREACH - 20, BREACH - 5)], 0, 0, 0),
        ([(BREACH + 3, BREACH + 9)], 0, 0, 0),
        ([(START - 1, BREACH - 30)], 0, 0, 1),
        ([(START - 1, BREACH)], 0, 0, 1),
        ([(START + 134, START + 140)], 0, 0, 0),
        ([(START + 135, START + 140)], 0, 0, 1),
        ([(SCORED_FROM - 1, SCORED_FROM + 9)], 0, 0, 0),
        ([], 0, 0, 0),
    ],
)
def test_a_ramp_is_warned_of_in_time_or_not(
    alarms: list[Alarm], warned: int, lead: float, false: int
) -> None:
    tally = score_alarms(service(Kind.RAMP), alarms)
    assert (tally.ramps, tally.warned, tally.leads, tally.false_alarms) == (
        1,
        warned,
        [lead],
        false,
    )
    assert tally.service_weeks == 1


def test_a_decoy_counts_apart_unless_it_breaks_something() -> None:
    alarms = [(START + 10, START + 30), (START + 200, START + 210)]
    quiet = score_alarms(service(Kind.DECOY, breaks=False), alarms)
    assert (quiet.decoys, quiet.decoys_alarmed, quiet.decoy_alarms, quiet.false_alarms) == (
        1,
        1,
        1,
        1,
    )
    broke = score_alarms(service(Kind.DECOY), [(BREACH - 19, BREACH - 10)])
    assert (broke.decoys, broke.decoy_alarms, broke.false_alarms) == (0, 0, 0)


def test_steps_are_found_in_two_minutes_or_late_or_not() -> None:
    made = service(Kind.STEP)
    assert score_steps(made, [START + 2]).steps_found_share == 1
    late = score_steps(made, [START + 3, START - 5])
    assert (late.steps_found_share, late.step_delays, late.false_steps) == (0, [3], 1)
    assert score_steps(made, [START + 11]).step_delays == [math.inf]


def test_tallies_add_up() -> None:
    total = Tally()
    for _ in range(2):
        total.add(score_alarms(service(Kind.RAMP), [(BREACH - 9, BREACH)]))
    assert (total.ramps, total.median_lead, total.service_weeks, total.warned_share) == (2, 9, 2, 1)
    assert total.by_shape["ramp made", "warned"] == 2


def test_random_alarms_are_as_many_and_as_long() -> None:
    like = [(SCORED_FROM, SCORED_FROM + 7), (SCORED_FROM + 9, SCORED_FROM + 12)]
    found = alarms_at_random(np.random.default_rng(1), service(Kind.RAMP), like)
    assert sorted(end - start for start, end in found) == [3, 7]
    assert all(start >= SCORED_FROM for start, _ in found)


def test_intervals_and_what_is_ahead() -> None:
    assert intervals([True, False, True, True]) == [(0, 1), (2, 4)]
    ahead = breaks_within(service(Kind.RAMP), 10)
    assert np.flatnonzero(ahead)[[0, -1]].tolist() == [BREACH - 10, START + 118]


def test_the_calibration_error_is_the_mean_distance_of_bins() -> None:
    told = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(told, np.array([False, False, True, True])) == pytest.approx(0.05)
    assert calibration_error(told, np.array([True, True, False, False])) == pytest.approx(0.95)


def test_rivals_see_an_outage_of_failures() -> None:
    outage = Fault(0, "failing_stripe", Kind.STEP, 8_000, ((0.0, 5.0), (120.0, 5.0)))
    made = world(3, services=1, days=7, file=FaultFile(faults=(outage,))).services[0]
    for alarms in (static_alarms(made), burn_rate_alarms(made)):
        assert any(8_000 <= start < 8_120 for start, _ in alarms)
        assert not any(end < 8_000 for _, end in alarms)
