"""Faults that tests switch on: what the network and Stripe do wrong, and when.

A rule names what it applies to (method, path, account), what happens, and how often. `before`
means that Stripe did not act; `after` means that it acted and the answer was lost or late.
"""

import asyncio
import itertools
import random
import re
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# A hung request is let go after this long even if nobody clears the fault.
LONGEST_HANG_SECONDS = 900.0
MAX_LATENCY_SECONDS = 120.0


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    HANG = "hang"
    ERROR = "error"
    RESET = "reset"
    RATE_LIMIT = "rate_limit"
    LOCK_TIMEOUT = "lock_timeout"


class Fault(BaseModel):
    """One rule.

    `path` is a regular expression that must match the whole path. `count` is how many requests it
    hits (None: until cleared), `skip` how many it lets pass first, `probability` the share of the
    rest that it hits. For `latency`, each request waits `seconds` plus an exponentially
    distributed `jitter_seconds` on average. For `error`, `stored` makes the idempotency key replay
    the 5xx, as Stripe does when its endpoint itself failed; without it the 5xx came from in front
    of the endpoint.
    """

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    when: Literal["before", "after"] = "before"
    method: str | None = None
    path: str = ".*"
    account: str | None = None
    count: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    jitter_seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    status: int = Field(default=500, ge=500, le=599)
    stored: bool = False


class ActiveFault:
    """A rule that is switched on, with what it has done so far."""

    def __init__(self, fault_id: str, fault: Fault) -> None:
        self.fault_id = fault_id
        self.fault = fault
        self.hits = 0
        self.cleared = asyncio.Event()
        self._passed = 0
        self._path = re.compile(fault.path)

    def matches(self, method: str, path: str, account: str, draw: random.Random) -> bool:
        """Whether the rule applies to this request; counts it if so."""
        fault = self.fault
        if fault.method is not None and fault.method != method:
            return False
        if fault.account is not None and fault.account != account:
            return False
        if self.exhausted or self._path.fullmatch(path) is None:
            return False
        if self._passed < fault.skip:
            self._passed += 1
            return False
        if fault.probability < 1.0 and draw.random() >= fault.probability:
            return False
        self.hits += 1
        return True

    @property
    def exhausted(self) -> bool:
        """Whether the rule has hit as often as it may."""
        return self.fault.count is not None and self.hits >= self.fault.count

    async def hang(self) -> None:
        """Waits until the rule is cleared."""
        try:
            async with asyncio.timeout(LONGEST_HANG_SECONDS):
                await self.cleared.wait()
        except TimeoutError:
            return


class Faults:
    """All rules that are switched on, and the outage switch."""

    def __init__(self, seed: int | None = None) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._sequence = itertools.count(1)
        self._random = random.Random(seed)
        self.outage: Literal["off", "reset", "error", "hang"] = "off"
        self._outage_over = asyncio.Event()

    def add(self, fault: Fault) -> str:
        """Switches a rule on; gives the id to clear it by."""
        fault_id = f"fault_{next(self._sequence)}"
        self._active[fault_id] = ActiveFault(fault_id, fault)
        return fault_id

    def clear(self, fault_id: str | None = None) -> None:
        """Switches one rule off, or all; requests that hang on it go on."""
        chosen = list(self._active) if fault_id is None else [fault_id]
        for key in chosen:
            self._active.pop(key).cleared.set()

    def listed(self) -> list[ActiveFault]:
        """The rules that are switched on, exhausted ones included."""
        return list(self._active.values())

    def choose(self, method: str, path: str, account: str) -> list[ActiveFault]:
        """The rules that hit this request, in the order in which they were added."""
        if not self._active:
            return []
        return [
            active
            for active in self._active.values()
            if active.matches(method, path, account, self._random)
        ]

    def latency_seconds(self, fault: Fault) -> float:
        """One draw from the rule's distribution."""
        if fault.jitter_seconds == 0.0:
            return fault.seconds
        drawn = fault.seconds + self._random.expovariate(1.0 / fault.jitter_seconds)
        return min(drawn, MAX_LATENCY_SECONDS)

    def set_outage(self, mode: Literal["off", "reset", "error", "hang"]) -> None:
        """Makes every request fail in one way, or ends that."""
        self.outage = mode
        self._outage_over.set()
        self._outage_over = asyncio.Event()

    async def wait_out(self) -> None:
        """Waits until the outage is changed or over."""
        over = self._outage_over
        try:
            async with asyncio.timeout(LONGEST_HANG_SECONDS):
                await over.wait()
        except TimeoutError:
            return
