"""The degradation simulator: its objective, its seeds, and that faults do what they say."""

import dataclasses
import itertools

import numpy as np
import pytest

from gateway.foresight.objective import PARTS, Objective
from gateway.foresight.signals import Minute
from sandbox.simulators.degradation import world
from sandbox.simulators.degradation.causes import CAUSES, DECOY_CAUSES
from sandbox.simulators.degradation.faults import Fault, FaultFile, Kind, Shape
from sandbox.simulators.degradation.schedule import LEAST_GAP_MINUTES, severities
from sandbox.simulators.degradation.world import DAY, Service

WEEK = 7
STEP = ((0.0, 2.5), (60.0, 2.5))


def with_fault(cause: str) -> tuple[Service, Service]:
    """A week of one service without faults, and the same with a high step of a cause."""
    fault = Fault(0, cause, Kind.STEP, 5_000, STEP)
    file = FaultFile(faults=(fault,))
    quiet = world(1_001, services=1, days=WEEK).services[0]
    return quiet, world(1_001, services=1, days=WEEK, file=file).services[0]


@pytest.fixture(scope="module")
def month() -> Service:
    return world(1_001, services=1).services[0]


def test_a_seed_gives_the_same_bits_and_another_gives_others() -> None:
    first, second = (world(7, services=2, days=WEEK) for _ in range(2))
    for one, other in zip(first.services, second.services, strict=True):
        assert all(np.array_equal(one.signals[name], other.signals[name]) for name in one.signals)
    alone = world(7, services=1, days=WEEK).services[0]
    assert np.array_equal(alone.signals["calls"], first.services[0].signals["calls"])
    assert not np.array_equal(
        alone.signals["calls"], world(8, services=1, days=WEEK).services[0].signals["calls"]
    )


def test_minutes_are_those_that_the_core_accepts_and_the_arrays_say(month: Service) -> None:
    minutes = list(month.minutes())
    assert len(minutes) == 28 * DAY
    assert all(b.minute == a.minute + 1 for a, b in itertools.pairwise(minutes))
    at = 12_345
    for name in (field.name for field in dataclasses.fields(Minute) if field.name != "minute"):
        assert getattr(minutes[at], name) == month.signals[name][at]


def test_what_is_broken_is_what_the_objective_says(month: Service) -> None:
    """The arrays are an independent model of the objective's window."""
    objective = Objective()
    minutes = list(month.minutes())
    broken = np.flatnonzero(month.broken.any(axis=1))
    rng = np.random.default_rng(3)
    looked_at = {*rng.choice(broken, 150).tolist(), *rng.integers(0, len(minutes), 300).tolist()}
    for at in sorted(looked_at):
        window = minutes[max(0, at - objective.window_minutes + 1) : at + 1]
        told = objective.broken(window)
        assert told == tuple(
            part for part, is_broken in zip(PARTS, month.broken[at], strict=True) if is_broken
        )


def test_faults_are_apart_and_of_every_kind(month: Service) -> None:
    main = [fault for fault in month.faults if fault.kind is not Kind.BLIP]
    assert {kind: sum(f.kind is kind for f in month.faults) for kind in Kind} == {
        Kind.RAMP: 7, Kind.STEP: 4, Kind.DECOY: 10, Kind.BLIP: 14,
    }  # fmt: skip
    for one, other in itertools.pairwise(main):
        assert other.start_minute - one.end_minute >= LEAST_GAP_MINUTES - 1
    assert all(fault.end_minute <= 28 * DAY for fault in main)


def test_ramps_and_steps_break_what_decoys_leave_whole(month: Service) -> None:
    def broke(kind: Kind) -> list[bool]:
        return [month.breach(fault) is not None for fault in month.faults if fault.kind is kind]

    assert all(broke(Kind.RAMP))
    assert all(broke(Kind.STEP))
    assert sum(broke(Kind.DECOY)) <= 2
    assert not np.any(month.broken[: 2 * DAY])


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_a_cause_breaks_its_part_and_moves_other_signals(cause: str) -> None:
    quiet, faulty = with_fault(cause)
    during = slice(5_005, 5_060)
    part = PARTS.index(CAUSES[cause].part)
    assert faulty.broken[during, part].all()
    assert not quiet.broken.any()
    moved = [
        name
        for name in CAUSES[cause].others
        if faulty.signals[name][during].mean() > 1.15 * quiet.signals[name][during].mean()
    ]
    assert moved, "a fault shows in more than one signal"


@pytest.mark.parametrize("cause", DECOY_CAUSES)
def test_decoys_of_their_own_kind_break_nothing(cause: str) -> None:
    file = FaultFile(faults=(Fault(0, cause, Kind.DECOY, 5_000, ((0, 0.0), (9, 1.0), (60, 1.0))),))
    assert not world(1_001, services=1, days=WEEK, file=file).services[0].broken.any()


def test_noise_is_autocorrelated_and_has_heavy_tails() -> None:
    service = world(1_001, services=1, days=WEEK).services[0]
    logs = np.log(service.signals["latency_p95_ms"])
    steps = np.diff(logs)
    by_quarter = logs - np.convolve(logs, np.full(121, 1 / 121), mode="same")
    middle = by_quarter[200:-200]
    assert np.corrcoef(middle[:-1], middle[1:])[0, 1] > 0.3
    kurtosis = np.mean((steps - steps.mean()) ** 4) / np.var(steps) ** 2
    assert kurtosis > 3.5


def test_own_shapes_replace_the_drawn_ones() -> None:
    bend = Shape("bend", Kind.RAMP, ((0.0, 0.0), (0.9, 0.1), (1.0, 1.0)))
    service = world(1_001, services=1, file=FaultFile(shapes=(bend,))).services[0]
    ramps = [fault for fault in service.faults if fault.kind is Kind.RAMP]
    assert {fault.shape for fault in ramps} == {"bend"}
    heights = severities(ramps[0].points)
    assert heights.max() >= 1.3
    assert "bend" not in {fault.shape for fault in service.faults if fault.kind is Kind.DECOY}


def test_a_world_needs_a_service_and_a_week() -> None:
    with pytest.raises(ValueError, match="a world needs a service and a week"):
        world(1, services=0)
    with pytest.raises(ValueError, match="a world needs a service and a week"):
        world(1, days=6)
