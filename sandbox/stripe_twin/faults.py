"""Faults that tests switch on: what the network and Stripe do wrong, and when.

A rule names what it applies to (method, path, account), what happens, how often and how long.
`before` means that Stripe did not act; `after` means that it acted and the answer was lost or
late. Each rule draws its chances from a random sequence of its own, which the twin's seed and the
rule's number determine: the same requests in the same order suffer the same again.

Here too are how long answers take (distributions, and a brown-out that ramps from quick to
unbearable) and the faults on the way of a webhook: lost, doubled, late, out of order, forged.
"""

import asyncio
import itertools
import math
import random
import re
from collections.abc import Callable
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

MAX_LATENCY_SECONDS = 120.0
# The shape of the log-normal and Pareto tails: about one answer in a hundred takes eight times
# (ten times) the mean.
_LOG_NORMAL_SIGMA = 1.2
_PARETO_ALPHA = 2.0


class Distribution(StrEnum):
    """How jitter is spread; its mean is `jitter_seconds` for each of them."""

    CONSTANT = "constant"
    UNIFORM = "uniform"
    EXPONENTIAL = "exponential"
    LOG_NORMAL = "log_normal"
    PARETO = "pareto"


class Latency(BaseModel):
    """What every answer takes: `seconds`, and `jitter_seconds` on average on top of it."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    jitter_seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    distribution: Distribution = Distribution.EXPONENTIAL

    def draw(self, chance: random.Random) -> float:
        """The seconds of one answer."""
        return min(self.seconds + self._jitter(chance), MAX_LATENCY_SECONDS)

    def _jitter(self, chance: random.Random) -> float:
        mean = self.jitter_seconds
        if mean == 0.0:
            return 0.0
        match self.distribution:
            case Distribution.CONSTANT:
                return mean
            case Distribution.UNIFORM:
                return chance.uniform(0.0, 2.0 * mean)
            case Distribution.EXPONENTIAL:
                return chance.expovariate(1.0 / mean)
            case Distribution.LOG_NORMAL:
                mu = math.log(mean) - _LOG_NORMAL_SIGMA**2 / 2.0
                return chance.lognormvariate(mu, _LOG_NORMAL_SIGMA)
            case Distribution.PARETO:
                scale = mean * (_PARETO_ALPHA - 1.0) / _PARETO_ALPHA
                return scale * chance.paretovariate(_PARETO_ALPHA)


def ramp_seconds(start: float, end: float, elapsed: float, duration: float) -> float:
    """The latency of a brown-out that has lasted `elapsed`; it stays at `end` afterwards.

    The ramp is geometric, as queues grow: from 50 ms to 20 s each tenth of it makes answers 1.8
    times as slow. A start of zero makes it linear.
    """
    share = 1.0 if duration <= 0.0 else min(max(elapsed / duration, 0.0), 1.0)
    if start <= 0.0 or end <= 0.0:
        return start + (end - start) * share
    return float(start * (end / start) ** share)


MIN_ERROR_STATUS = 500
# A hung request is let go after this long even if nobody clears the fault.
LONGEST_HANG_SECONDS = 900.0


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    BROWN_OUT = "brown_out"
    HANG = "hang"
    ERROR = "error"
    PROXY = "proxy"
    RESET = "reset"
    RATE_LIMIT = "rate_limit"
    LOCK_TIMEOUT = "lock_timeout"


class Fault(Latency):
    """One rule.

    `path` is a regular expression that must match the whole path. `account` is an account's name
    or id; a platform's rule also hits its connected accounts. `count` is how many requests it hits
    (None: until cleared), `skip` how many it lets pass first, `probability` the share of the rest
    that it hits. `starts_after_seconds` and `lasts_seconds` are in the twin's time.

    For `latency`, each request waits `seconds` plus its jitter. For `brown_out`, the wait goes from
    `seconds` to `end_seconds` within `ramp_seconds` and stays there, plus its jitter. For `error`,
    `stored` makes the idempotency key replay the 5xx, as Stripe does when its endpoint itself
    failed; without it the 5xx came from in front of the endpoint. For `proxy`, something between
    the client and Stripe answers with `status` and `body`, any JSON.
    """

    kind: FaultKind
    when: Literal["before", "after"] = "before"
    method: str | None = None
    path: str = ".*"
    account: str | None = None
    count: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    starts_after_seconds: float = Field(default=0.0, ge=0.0)
    lasts_seconds: float | None = Field(default=None, gt=0.0)
    end_seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    ramp_seconds: float = Field(default=0.0, ge=0.0)
    status: int = Field(default=500, ge=400, le=599)
    stored: bool = False
    body: JsonValue = None

    @model_validator(mode="after")
    def _error_is_stripes(self) -> Self:
        if self.kind is not FaultKind.PROXY and self.status < MIN_ERROR_STATUS:
            raise ValueError("Stripe itself fails with 500 to 599")
        return self


class ActiveFault:
    """A rule that is switched on, with what it has done so far."""

    def __init__(
        self, fault_id: str, fault: Fault, chance: random.Random, now: Callable[[], float]
    ) -> None:
        self.fault_id = fault_id
        self.fault = fault
        self.hits = 0
        self.cleared = asyncio.Event()
        self._passed = 0
        self._path = re.compile(fault.path)
        self._chance = chance
        self._now = now
        self._starts = now() + fault.starts_after_seconds

    def matches(self, method: str, path: str, accounts: tuple[str, ...]) -> bool:
        """Whether the rule applies to this request; counts it if so.

        `accounts` are the ids and names of the request's account and its platform.
        """
        fault = self.fault
        if fault.method is not None and fault.method != method:
            return False
        if fault.account is not None and fault.account not in accounts:
            return False
        if self.exhausted or self._path.fullmatch(path) is None or not self._is_time():
            return False
        if self._passed < fault.skip:
            self._passed += 1
            return False
        if fault.probability < 1.0 and self._chance.random() >= fault.probability:
            return False
        self.hits += 1
        return True

    @property
    def exhausted(self) -> bool:
        """Whether the rule has hit as often as it may."""
        return self.fault.count is not None and self.hits >= self.fault.count

    def delay_seconds(self) -> float:
        """How long the rule makes a request wait now."""
        fault = self.fault
        drawn = fault.draw(self._chance)
        if fault.kind is not FaultKind.BROWN_OUT:
            return drawn
        elapsed = self._now() - self._starts
        ramped = ramp_seconds(fault.seconds, fault.end_seconds, elapsed, fault.ramp_seconds)
        return min(ramped + drawn - fault.seconds, MAX_LATENCY_SECONDS)

    async def hang(self) -> None:
        """Waits until the rule is cleared."""
        try:
            async with asyncio.timeout(LONGEST_HANG_SECONDS):
                await self.cleared.wait()
        except TimeoutError:
            return

    def _is_time(self) -> bool:
        elapsed = self._now() - self._starts
        lasts = self.fault.lasts_seconds
        return elapsed >= 0.0 and (lasts is None or elapsed < lasts)


class Faults:
    """All rules that are switched on, and the outage switch."""

    def __init__(self, now: Callable[[], float], seed: int | None = None) -> None:
        """`now` is the twin's time in seconds."""
        self._active: dict[str, ActiveFault] = {}
        self._sequence = itertools.count(1)
        self._now = now
        self._seed = seed
        self.outage: Literal["off", "reset", "error", "hang"] = "off"
        self._outage_over = asyncio.Event()

    def add(self, fault: Fault) -> str:
        """Switches a rule on; gives the id to clear it by."""
        fault_id = f"fault_{next(self._sequence)}"
        chance = random.Random(None if self._seed is None else f"{self._seed}/{fault_id}")
        self._active[fault_id] = ActiveFault(fault_id, fault, chance, self._now)
        return fault_id

    def clear(self, fault_id: str | None = None) -> None:
        """Switches one rule off, or all; requests that hang on it go on."""
        chosen = list(self._active) if fault_id is None else [fault_id]
        for key in chosen:
            self._active.pop(key).cleared.set()

    def listed(self) -> list[ActiveFault]:
        """The rules that are switched on, exhausted ones included."""
        return list(self._active.values())

    def choose(self, method: str, path: str, accounts: tuple[str, ...]) -> list[ActiveFault]:
        """The rules that hit this request, in the order in which they were added."""
        if not self._active:
            return []
        return [
            active for active in self._active.values() if active.matches(method, path, accounts)
        ]

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


MAX_COPIES = 20
MAX_WINDOW = 1_000


class WebhookFaultKind(StrEnum):
    """What happens to a webhook."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"
    FORGE = "forge"


class Forgery(StrEnum):
    """What is wrong with a webhook that did not come from Stripe."""

    WRONG_SECRET = "wrong_secret"
    EMPTY_SECRET = "empty_secret"
    NO_SIGNATURE = "no_signature"
    TAMPERED = "tampered"
    OLD = "old"
    FUTURE = "future"


class WebhookFault(BaseModel):
    """One rule.

    `event_type` may hold `*`. `drop` never delivers: only a listing with `delivery_success=false`
    shows the event. `duplicate` delivers `copies` times. `delay` waits `seconds` of the twin's
    clock. `reorder` collects `window` webhooks and sends them newest first. `forge` sends, before
    the true one, a copy with another event id that a `forgery` was done to; nobody counts it as
    delivered. `count` is how many webhooks the rule hits (None: until cleared), `skip` how many it
    lets pass first, `probability` the share of the rest that it hits.
    """

    model_config = ConfigDict(extra="forbid")

    kind: WebhookFaultKind
    event_type: str = "*"
    account: str | None = None
    count: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    forgery: Forgery = Forgery.WRONG_SECRET
    copies: int = Field(default=2, ge=2, le=MAX_COPIES)
    seconds: float = Field(default=0.0, ge=0.0)
    window: int = Field(default=2, ge=2, le=MAX_WINDOW)


class ActiveWebhookFault:
    """A rule that is switched on, with what it has done so far."""

    def __init__(self, fault_id: str, fault: WebhookFault, chance: random.Random) -> None:
        self._chance = chance
        self.fault_id = fault_id
        self.fault = fault
        self.hits = 0
        self._passed = 0

    def matches(self, event_type: str, accounts: tuple[str, ...]) -> bool:
        """Whether the rule applies to this webhook; counts it if so."""
        fault = self.fault
        if fault.account is not None and fault.account not in accounts:
            return False
        if fault.count is not None and self.hits >= fault.count:
            return False
        if not fnmatchcase(event_type, fault.event_type):
            return False
        if self._passed < fault.skip:
            self._passed += 1
            return False
        if fault.probability < 1.0 and self._chance.random() >= fault.probability:
            return False
        self.hits += 1
        return True


class WebhookFaults:
    """All webhook rules that are switched on."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._active: dict[str, ActiveWebhookFault] = {}
        self._sequence = itertools.count(1)

    def add(self, fault: WebhookFault) -> str:
        """Switches a rule on; gives the id to clear it by."""
        fault_id = f"webhook_fault_{next(self._sequence)}"
        chance = random.Random(None if self._seed is None else f"{self._seed}/{fault_id}")
        self._active[fault_id] = ActiveWebhookFault(fault_id, fault, chance)
        return fault_id

    def clear(self, fault_id: str | None = None) -> None:
        """Switches one rule off, or all."""
        if fault_id is None:
            self._active.clear()
        else:
            del self._active[fault_id]

    def listed(self) -> list[ActiveWebhookFault]:
        """The rules that are switched on."""
        return list(self._active.values())

    def choose(self, event_type: str, accounts: tuple[str, ...]) -> ActiveWebhookFault | None:
        """The first rule that hits this webhook."""
        for active in self._active.values():
            if active.matches(event_type, accounts):
                return active
        return None
