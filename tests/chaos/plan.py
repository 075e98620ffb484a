"""What a run will do, all of it drawn from one seed before anything is started (`drawing`).

Moments are counted in payments, not in seconds: "before payment 117 begins" is the same moment on
a slow machine and on a fast one.
"""

from dataclasses import asdict, dataclass
from typing import Any

CORRIDORS = ("default", "backup")
CURRENCIES = ("USD", "EUR", "JPY")
# What operators let each corridor charge.
TAKEN = {"default": CURRENCIES, "backup": ("USD", "EUR")}
GATEWAYS = ("gateway-1", "gateway-2")
# What of the cluster each victim is a part of; those of one part are killed one after the other.
PARTS = {
    "gateway-1": "gateway-1",
    "gateway-2": "gateway-2",
    "gateways": "gateway-1",
    "ledger": "ledger",
    "compliance": "compliance",
    "backend": "postgres",
    "postgres": "postgres",
    "frozen postgres": "postgres",
}
# What operators promise of a corridor: foresight warns of it being broken.
LATENCY_MS = 1_000.0
WEBHOOK_LAG_SECONDS = 600.0
# How often a client asks before it gives up.
PATIENCE = 30


@dataclass(frozen=True)
class Step:
    """What a customer or a shop does after the payment was made.

    `action` is come_back, authenticate, fail_authentication, confirm, capture, cancel, refund,
    win_dispute or lose_dispute; without `amount_minor` it is about everything.
    """

    action: str
    amount_minor: int | None = None


@dataclass(frozen=True)
class PlannedPayment:
    """One payment and what its client will do with it; `tries` is how often it asks in vain at
    most, all its questions together, `roams` that it may be charged through the other corridor,
    `retries` that a declined card is tried again in the days that follow, and `saves` that the
    client saves the card first. `reviewed` is a guest's that is so large that people decide it."""

    number: int
    request_id: str
    amount_minor: int
    currency: str
    card: str
    corridor: str
    roams: bool
    blocked: bool
    manual: bool
    off_session: bool
    queue_seconds: int | None
    tries: int
    steps: tuple[Step, ...]
    retries: bool = False
    saves: bool = False
    reviewed: bool = False

    @property
    def may_use(self) -> tuple[str, ...]:
        """The corridors that client and operators let it be charged through, its own one first."""
        others = [
            name
            for name in CORRIDORS
            if self.roams and name != self.corridor and self.currency in TAKEN[name]
        ]
        return (self.corridor, *others)


@dataclass(frozen=True)
class Kill:
    """`steps`: the victim dies before its so-manieth step from then on; else after `delay_ms`."""

    at_payment: int
    victim: str
    delay_ms: int
    steps: int | None


@dataclass(frozen=True)
class Restore:
    """A database is put back to what it was at an older payment.

    `service` is gateway, ledger, compliance or all. As a "restore" it is by operators, who stop the
    service for it and go by the page that says what to do then; as a "failover" it is by a server
    that had lagged `lag_ms` behind and takes over from one moment to the next.
    """

    kept_at_payment: int
    at_payment: int
    service: str
    how: str
    lag_ms: int


@dataclass(frozen=True)
class Trouble:
    """Something else that goes wrong from one payment to another, but at most for `longest_ms`:
    where nothing goes on any more, no payment would ever end it.

    `kind` is fault, outage, webhook_fault, forgery, jump, closure, payout, half_open, holds,
    stranger, freeze or degradation; `detail` is what the kind needs.
    """

    at_payment: int
    until_payment: int
    longest_ms: int
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    seed: int
    payments: tuple[PlannedPayment, ...]
    kills: tuple[Kill, ...]
    troubles: tuple[Trouble, ...]
    restores: tuple[Restore, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For a file that shows what a seed means."""
        return asdict(self)
