"""The circuit breaker, on a clock that the test moves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.stripe_client.breaker import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    BreakerPolicy,
    EndpointBreaker,
    Permit,
)
from gateway.stripe_client.classify import Health
from runtime.clock import ManualClock

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = BreakerPolicy(
    window_seconds=10,
    min_calls=4,
    failure_rate=0.5,
    slow_rate=0.5,
    slow_seconds=2.0,
    open_seconds=5.0,
    probes=2,
)


class Bench:
    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.clock = ManualClock(START)
        self.changes: list[tuple[str, str]] = []
        self.breaker = EndpointBreaker("payment_intents", policy, self.now, self._changed)

    def now(self) -> float:
        return (self.clock.now() - START).total_seconds()

    def _changed(self, _breaker: EndpointBreaker, old: str, new: str) -> None:
        self.changes.append((old, new))

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def admit(self) -> Permit:
        permit = self.breaker.admit()
        assert permit is not None
        return permit

    def calls(self, count: int, health: Health, seconds: float = 0.0) -> None:
        for _ in range(count):
            permit = self.admit()
            self.advance(seconds)
            permit.give_back(health)

    def opened(self) -> "Bench":
        self.calls(POLICY.min_calls, Health.FAILED)
        assert self.breaker.state == OPEN
        return self


def test_opens_at_the_failure_rate() -> None:
    it = Bench()
    it.calls(2, Health.ANSWERED)
    it.calls(1, Health.FAILED)
    assert it.breaker.state == CLOSED
    it.calls(1, Health.FAILED)
    assert it.breaker.state == OPEN
    assert it.changes == [(CLOSED, OPEN)]
    assert it.breaker.admit() is None


def test_decides_nothing_on_few_calls() -> None:
    it = Bench()
    it.calls(3, Health.FAILED)
    assert it.breaker.state == CLOSED


def test_alternating_failures_open_it_though_none_follow_each_other() -> None:
    it = Bench()
    for health in (Health.FAILED, Health.ANSWERED) * 2:
        it.calls(1, health)
    assert it.breaker.state == OPEN


def test_forgets_what_left_the_window() -> None:
    it = Bench()
    it.calls(3, Health.FAILED)
    it.advance(10)
    it.calls(3, Health.FAILED)
    assert it.breaker.state == CLOSED


def test_opens_at_the_slow_rate_though_every_call_succeeds() -> None:
    it = Bench()
    it.calls(2, Health.ANSWERED)
    it.calls(2, Health.ANSWERED, seconds=2.0)
    assert it.breaker.state == OPEN


def test_running_calls_count_as_slow_at_once() -> None:
    it = Bench()
    permits = [it.admit() for _ in range(4)]
    it.advance(1.9)
    assert it.breaker.read().slow == 0
    it.advance(0.1)
    assert it.breaker.read().slow == 4
    assert it.breaker.admit() is None, "nobody waits for the hanging calls to return"
    assert it.breaker.state == OPEN
    for permit in permits:
        permit.give_back(Health.FAILED)
    assert it.changes == [(CLOSED, OPEN)]


def test_a_slow_call_counts_once() -> None:
    it = Bench()
    permit = it.admit()
    it.advance(3)
    assert it.breaker.read().calls == 1
    permit.give_back(Health.ANSWERED)
    reading = it.breaker.read()
    assert (reading.calls, reading.slow, reading.failures, reading.in_flight) == (1, 1, 0, 0)


def test_not_counted_says_nothing_unless_it_was_slow() -> None:
    it = Bench()
    it.calls(10, Health.NOT_COUNTED)
    assert it.breaker.read().calls == 0
    it.calls(4, Health.NOT_COUNTED, seconds=2.0)
    assert it.breaker.state == OPEN


def test_half_opens_with_a_bounded_number_of_probes_and_closes() -> None:
    it = Bench().opened()
    assert it.breaker.seconds_to_probe() == 5.0
    it.advance(4.9)
    assert it.breaker.admit() is None
    it.advance(0.1)
    assert it.breaker.would_admit
    first, second = it.admit(), it.admit()
    assert it.breaker.state == HALF_OPEN
    assert it.breaker.admit() is None, "two probes are out"
    first.give_back(Health.ANSWERED)
    assert it.breaker.state == HALF_OPEN
    second.give_back(Health.ANSWERED)
    assert it.breaker.state == CLOSED
    assert it.breaker.read().calls == 0, "a new state starts with a clean window"


def test_a_failed_probe_opens_it_again() -> None:
    it = Bench().opened()
    it.advance(5)
    it.calls(1, Health.FAILED)
    assert it.breaker.state == OPEN
    assert it.breaker.seconds_to_probe() == 5.0


def test_a_hanging_probe_opens_it_again() -> None:
    it = Bench().opened()
    it.advance(5)
    it.admit()
    it.advance(2)
    assert it.breaker.admit() is None
    assert it.breaker.state == OPEN


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    it = Bench().opened()
    it.advance(5)
    it.calls(5, Health.NOT_COUNTED)
    it.calls(2, Health.ANSWERED)
    assert it.breaker.state == CLOSED


def test_probes_may_be_far_apart() -> None:
    it = Bench().opened()
    it.advance(5)
    it.calls(1, Health.ANSWERED)
    it.advance(3600)
    it.calls(1, Health.ANSWERED)
    assert it.breaker.state == CLOSED


def test_stragglers_of_an_earlier_state_do_not_count() -> None:
    it = Bench()
    straggler = it.admit()
    it.opened()
    it.advance(5)
    it.calls(2, Health.ANSWERED)
    assert it.breaker.state == CLOSED
    straggler.give_back(Health.FAILED)
    assert it.breaker.read().calls == 0


@pytest.mark.parametrize(
    "values",
    [
        {"failure_rate": 0.0},
        {"slow_rate": 1.1},
        {"probes": 0},
        {"min_calls": 0},
        {"slow_seconds": 0},
    ],
)
def test_senseless_policies_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="breaker"):
        BreakerPolicy(**values)


@given(st.lists(st.sampled_from([Health.ANSWERED, Health.NOT_COUNTED]), max_size=60))
def test_never_opens_without_a_failure_or_a_slow_call(healths: list[Health]) -> None:
    it = Bench()
    for health in healths:
        it.calls(1, health, seconds=0.1)
    assert it.changes == []


class BreakerMachine(RuleBasedStateMachine):
    """Any sequence of calls and times."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Bench()
        self.out: list[Permit] = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.it.advance(seconds)

    @rule()
    def ask(self) -> None:
        would = self.it.breaker.would_admit
        permit = self.it.breaker.admit()
        if permit is not None:
            assert would, "nobody passes who was told no"
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(health=st.sampled_from(Health), pick=st.integers(min_value=0))
    def give_back(self, health: Health, pick: int) -> None:
        self.out.pop(pick % len(self.out)).give_back(health)

    @invariant()
    def probes_are_bounded(self) -> None:
        if self.it.breaker.state == HALF_OPEN:
            assert self.it.breaker.read().in_flight <= POLICY.probes

    @invariant()
    def transitions_are_legal(self) -> None:
        legal = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
        assert set(self.it.changes) <= legal

    @invariant()
    def never_stuck(self) -> None:
        """However it got here: once no call is out, there is a time at which one may go."""
        if self.out:
            return
        if self.it.breaker.state == OPEN:
            assert self.it.breaker.seconds_to_probe() <= POLICY.open_seconds
        if self.it.breaker.state == HALF_OPEN:
            assert self.it.breaker.would_admit


TestBreakerMachine = BreakerMachine.TestCase
