"""A breaker before anything has happened, its policy at the edges, what it tells of a change."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.stripe_client.breaker import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    BreakerPolicy,
    EndpointBreaker,
)
from gateway.stripe_client.classify import Health
from gateway.stripe_client.window import Reading

POLICY = BreakerPolicy(
    window_seconds=10,
    min_calls=4,
    failure_rate=0.75,
    slow_rate=0.75,
    slow_seconds=2.0,
    open_seconds=5.0,
    probes=2,
)


class Bench:
    """One breaker on a clock that the test moves."""

    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.now = 0.5
        self.told: list[tuple[EndpointBreaker, str, str]] = []
        self.breaker = EndpointBreaker(
            "refunds",
            policy,
            lambda: self.now,
            lambda breaker, old, new: self.told.append((breaker, old, new)),
        )

    def calls(self, *healths: Health, seconds: float = 0.0) -> None:
        permits = [self.breaker.admit() for _ in healths]
        self.now += seconds
        for permit, health in zip(permits, healths, strict=True):
            assert permit is not None
            permit.give_back(health)


FAILED, ANSWERED, NOT_COUNTED = Health.FAILED, Health.ANSWERED, Health.NOT_COUNTED


@pytest.mark.parametrize("name", ["failure_rate", "slow_rate"])
@pytest.mark.parametrize(
    ("rate", "fits"), [(0.0, False), (0.01, True), (1.0, True), (1.01, False), (-0.1, False)]
)
def test_a_rate_is_above_zero_and_at_most_one(name: str, rate: float, fits: bool) -> None:
    assert sound({name: rate}) is fits


@pytest.mark.parametrize("name", ["window_seconds", "min_calls", "probes"])
def test_a_count_is_one_at_least(name: str) -> None:
    assert [sound({name: count}) for count in (-1, 0, 1, 2)] == [False, False, True, True]


@pytest.mark.parametrize("name", ["slow_seconds", "open_seconds"])
def test_a_time_is_above_zero(name: str) -> None:
    assert [sound({name: each}) for each in (-1.0, 0.0, 0.1, 1.0)] == [False, False, True, True]


def sound(changes: dict[str, Any]) -> bool:
    try:
        replace(POLICY, **changes)
    except ValueError:
        return False
    return True


def test_a_breaker_to_which_nothing_has_happened() -> None:
    it = Bench()
    breaker = it.breaker
    assert (breaker.name, breaker.policy, breaker.state) == ("refunds", POLICY, CLOSED)
    assert breaker.read() == breaker.last_reading == Reading(0, 0, 0, 0)
    assert (breaker.changed_by, breaker.seconds_since_change) == ("", None)
    assert (breaker.seconds_to_probe(), breaker.would_admit) == (0.0, True)
    assert not breaker.is_due
    assert not breaker.waits_for_probe_lease
    assert not breaker.is_probing
    assert it.told == []


def test_a_breaker_that_was_opened_tells_with_what() -> None:
    it = Bench()
    it.calls(FAILED, FAILED, ANSWERED)
    it.now += 1
    it.calls(FAILED)
    assert it.breaker.state == OPEN
    assert it.breaker.last_reading == Reading(calls=4, failures=3, slow=0, in_flight=0)
    assert it.told == [(it.breaker, CLOSED, OPEN)]
    assert (it.breaker.seconds_since_change, it.breaker.seconds_to_probe()) == (0.0, 5.0)
    # It begins anew: what was before says nothing about now.
    assert it.breaker.read() == Reading(0, 0, 0, 0)
    it.now += 5
    assert (it.breaker.seconds_to_probe(), it.breaker.is_due) == (0.0, True)
    it.calls(ANSWERED)
    assert (it.breaker.state, it.breaker.seconds_to_probe()) == (HALF_OPEN, 0.0)
    it.calls(ANSWERED)
    assert [(old, new) for _, old, new in it.told] == [
        *((CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)),
    ]
    assert it.breaker.last_reading == Reading(calls=2, failures=0, slow=0, in_flight=0)
    # Once closed again there is nothing to probe, however long ago it changed.
    assert (it.breaker.seconds_to_probe(), it.breaker.would_admit) == (0.0, True)


def test_the_share_of_failed_or_slow_calls_counts_not_their_number() -> None:
    for bad, seconds in ((FAILED, 0.0), (ANSWERED, 2.0)):
        it = Bench()
        it.calls(*[ANSWERED] * 6)
        it.calls(*[bad] * 4, seconds=seconds)
        assert it.breaker.state == CLOSED
        it.calls(*[bad] * 14, seconds=seconds)
        assert it.breaker.state == OPEN


def test_a_probe_that_says_nothing_makes_room_only_while_it_probes() -> None:
    it = Bench()
    it.calls(*[NOT_COUNTED] * 3)
    old = it.breaker.admit()
    assert old is not None
    it.calls(*[FAILED] * 4)
    it.now += 5
    first, second = it.breaker.admit(), it.breaker.admit()
    assert first is not None
    assert second is not None
    assert it.breaker.admit() is None
    # One from before it opened is no probe.
    old.give_back(NOT_COUNTED)
    assert not it.breaker.would_admit
    first.give_back(NOT_COUNTED)
    assert it.breaker.would_admit
    # A slow one counts, whatever it says, and makes no room.
    third = it.breaker.admit()
    assert third is not None
    it.now += 2
    third.give_back(NOT_COUNTED)
    assert it.breaker.state == OPEN


def test_a_breaker_of_a_group_probes_with_a_lease_that_ends_when_it_opens() -> None:
    it = Bench()
    it.breaker.join_group()
    it.calls(*[FAILED] * 4)
    it.now += 5
    assert it.breaker.waits_for_probe_lease
    assert (it.breaker.admit(), it.breaker.would_admit) == (None, False)
    it.breaker.lease_probes(3.0)
    assert it.breaker.is_due
    it.calls(FAILED, FAILED)
    assert it.breaker.state == OPEN
    it.now += 0.5
    # The lease would last still, had it not opened again.
    assert not it.breaker._may_probe
    it.breaker.lease_probes(3.0)
    it.now += 2.9
    assert it.breaker._may_probe
    it.now += 0.1
    assert not it.breaker._may_probe


def test_a_breaker_follows_another_replicas() -> None:
    it = Bench()
    it.breaker.follow(HALF_OPEN, "other")
    assert (it.breaker.state, it.breaker.changed_by) == (OPEN, "other")
    assert it.breaker.last_reading == Reading(0, 0, 0, 0)
    it.now += 4
    it.breaker.follow(OPEN, "third")
    # The time that it stays open begins again.
    assert (it.breaker.seconds_to_probe(), it.breaker.changed_by) == (5.0, "third")
    it.breaker.follow(CLOSED, "other")
    assert (it.breaker.state, it.breaker.changed_by) == (CLOSED, "other")
    # It changes by itself again.
    it.calls(*[FAILED] * 4)
    assert (it.breaker.state, it.breaker.changed_by) == (OPEN, "")
