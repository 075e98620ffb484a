"""The circuit breaker of one group of endpoints of one corridor.

pybreaker gives the states, their transitions and the listeners. When to change state is decided
here, because pybreaker counts consecutive failures only, holds a lock during the call and knows no
slow calls: the rules are those of resilience4j (https://resilience4j.readme.io/docs/circuitbreaker)
with one more: a running call that is late counts at once, not when it returns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pybreaker

from gateway.stripe_client.classify import Health
from gateway.stripe_client.window import Reading, SlidingWindow

CLOSED, OPEN, HALF_OPEN = (
    pybreaker.STATE_CLOSED,
    pybreaker.STATE_OPEN,
    pybreaker.STATE_HALF_OPEN,
)


@dataclass(frozen=True)
class BreakerPolicy:
    """When the breaker opens and closes."""

    window_seconds: int = 30
    min_calls: int = 10
    """Below so many calls in the window nothing is decided."""
    failure_rate: float = 0.5
    """Share of failed calls from which on it opens."""
    slow_rate: float = 0.5
    """Share of slow calls from which on it opens."""
    slow_seconds: float = 8.0
    """What a slow call is. Below the time limit of one request, or no call would ever be slow."""
    open_seconds: float = 10.0
    """How long no call passes before probes do."""
    probes: int = 3
    """Calls that pass while half-open; their outcome decides."""

    def __post_init__(self) -> None:
        rates_fit = 0 < self.failure_rate <= 1 and 0 < self.slow_rate <= 1
        counts_fit = self.window_seconds >= 1 and self.min_calls >= 1 and self.probes >= 1
        if not (rates_fit and counts_fit and self.slow_seconds > 0 and self.open_seconds > 0):
            raise ValueError("a breaker needs rates in (0, 1] and positive counts and times")


class Permit:
    """Leave to make one call; give it back exactly once."""

    def __init__(self, breaker: "EndpointBreaker", window: SlidingWindow, token: int) -> None:
        self._breaker = breaker
        self._window = window
        self._token = token

    def give_back(self, health: Health) -> None:
        """The call ended like this."""
        self._breaker._finish(self._window, self._token, health)


class EndpointBreaker:
    """Lets calls pass or not. `monotonic` tells seconds on a clock that never jumps.

    `on_change(breaker, old, new)` is called after each transition, with pybreaker's state names.
    """

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy,
        monotonic: Callable[[], float],
        on_change: Callable[["EndpointBreaker", str, str], None],
    ) -> None:
        self.name = name
        self.policy = policy
        self._monotonic = monotonic
        self._on_change = on_change
        self._changed_at: float | None = None
        # In a group, a breaker that is open probes only while it has the group's lease.
        self._in_group = False
        self._lease_until = 0.0
        self.changed_by = ""
        """The replica whose breaker changed first; empty if it was this one."""
        self.last_reading = Reading(0, 0, 0, 0)
        """The window as it was when the state changed last."""
        self._window = self._new_window(CLOSED)
        self._probes_out = 0
        self._circuit = pybreaker.CircuitBreaker(name=name, listeners=[_Announcer(self)])

    @property
    def state(self) -> str:
        """`CLOSED`, `OPEN` or `HALF_OPEN`."""
        return self._circuit.current_state

    def read(self) -> Reading:
        """The calls since the last transition, within the window."""
        return self._window.read(self._monotonic())

    def seconds_to_probe(self) -> float:
        """How long until a probe may pass; 0 unless OPEN."""
        since = self.seconds_since_change
        if self.state != OPEN or since is None:
            return 0.0
        return max(0.0, self.policy.open_seconds - since)

    @property
    def seconds_since_change(self) -> float | None:
        """How long the state has lasted; None if it has never changed."""
        return None if self._changed_at is None else self._monotonic() - self._changed_at

    @property
    def would_admit(self) -> bool:
        """Whether a call would get a permit now."""
        if self.state == OPEN:
            return self.is_due
        if self.state == HALF_OPEN:
            return self._probes_out < self.policy.probes
        return True

    @property
    def is_due(self) -> bool:
        """Whether it is open and the next call would be a probe."""
        return self.state == OPEN and self.seconds_to_probe() <= 0 and self._may_probe

    @property
    def waits_for_probe_lease(self) -> bool:
        """Whether it is open and would probe if it had the lease."""
        return self.state == OPEN and self.seconds_to_probe() <= 0 and not self._may_probe

    @property
    def is_probing(self) -> bool:
        """Whether a probe is under way."""
        return self.state == HALF_OPEN and self.read().in_flight > 0

    def join_group(self) -> None:
        """From now on it asks for the lease to probe, whenever it has opened."""
        self._in_group = True

    def lease_probes(self, seconds: float) -> None:
        """It may probe, for so long or until it opens again."""
        self._lease_until = self._monotonic() + seconds

    @property
    def _may_probe(self) -> bool:
        return not self._in_group or self._monotonic() < self._lease_until

    def follow(self, state: str, replica: str) -> None:
        """Another replica's breaker has changed its state; one that is half-open there is open
        here. The time that it stays open begins again."""
        wanted = CLOSED if state == CLOSED else OPEN
        if self.state == OPEN and wanted == OPEN:
            self._changed_at = self._monotonic()
            self._lease_until = self._changed_at
        elif wanted == OPEN:
            self._circuit.open()
        elif self.state != CLOSED:
            self._circuit.close()
        self.changed_by = replica

    def admit(self) -> Permit | None:
        """Leave for one call, or None if it must not be made."""
        self._decide()
        if self.state == OPEN:
            if not self.is_due:
                return None
            self._circuit.half_open()
        if self.state == HALF_OPEN:
            if self._probes_out >= self.policy.probes:
                return None
            self._probes_out += 1
        return Permit(self, self._window, self._window.start(self._monotonic()))

    def _finish(self, window: SlidingWindow, token: int, health: Health) -> None:
        now = self._monotonic()
        if health is Health.NOT_COUNTED:
            counted = window.forget(token, now)
            if window is self._window and self.state == HALF_OPEN and not counted:
                # A probe that says nothing makes room for another one.
                self._probes_out -= 1
        else:
            window.finish(token, now, failed=health is Health.FAILED)
        if window is self._window:
            self._decide()

    def _decide(self) -> None:
        reading = self.read()
        if self.state == CLOSED:
            if reading.calls >= self.policy.min_calls and self._is_bad(reading, reading.calls):
                self._circuit.open()
        elif self.state == HALF_OPEN:
            if self._is_bad(reading, self.policy.probes):
                self._circuit.open()
            elif reading.calls >= self.policy.probes:
                self._circuit.close()

    def _is_bad(self, reading: Reading, calls: int) -> bool:
        return (
            reading.failures / calls >= self.policy.failure_rate
            or reading.slow / calls >= self.policy.slow_rate
        )

    def _new_window(self, state: str) -> SlidingWindow:
        # Probes may be minutes apart where there is little traffic; they must not expire, or the
        # breaker would wait for ever for the last of them.
        seconds = None if state == HALF_OPEN else self.policy.window_seconds
        return SlidingWindow(seconds=seconds, slow_seconds=self.policy.slow_seconds)

    def _changed(self, old: str, new: str) -> None:
        self._changed_at = self._monotonic()
        self.last_reading = self._window.read(self._changed_at)
        # Each state starts with a clean window: what was sent before says nothing about now.
        self._window = self._new_window(new)
        self._probes_out = 0
        if new == OPEN:
            self._lease_until = self._changed_at
        self.changed_by = ""
        self._on_change(self, old, new)


class _Announcer(pybreaker.CircuitBreakerListener):
    """Hands pybreaker's transitions on."""

    def __init__(self, breaker: EndpointBreaker) -> None:
        self._breaker = breaker

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,  # noqa: ARG002
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        self._breaker._changed(old_state.name if old_state is not None else CLOSED, new_state.name)
