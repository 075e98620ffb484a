"""Faults on the way of a webhook: lost, doubled, late, out of order, forged."""

import itertools
import random
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field

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
