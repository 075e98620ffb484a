"""What the judge is shown: what clients saw, and what gateway, ledger and Stripe say in the end.

Plain data, so that a faulty history can be made by hand. Amounts are minor units, currencies
upper-case, states those of the contracts without their prefix.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.foresight.signals import Minute

# What a client takes as the last word about a payment. FAILED counts unless the same request may
# begin anew, which is answered with an error.
FINAL_STATES = frozenset({"BLOCKED", "SUCCEEDED", "DECLINED", "CANCELED", "EXPIRED", "FAILED"})
# What Stripe says of a charge that the bank has approved.
APPROVED = "APPROVED"
# Nothing of these may be left once all is quiet: each means that the engine itself has to go on.
UNDECIDED_STATES = frozenset(
    {"RECEIVED", "COMPLIANCE_CHECKED", "QUEUED", "AUTHORIZING", "CAPTURING", "CANCELING"}
)
# And of these once every deadline has passed: of customers' actions, reviews, holds, retries.
WAITING_STATES = frozenset(
    {"REQUIRES_ACTION", "PROCESSING", "IN_REVIEW", "AUTHORIZED", "RETRY_SCHEDULED"}
)


@dataclass(frozen=True)
class Answer:
    """One answer that a client got, of a payment or of a refund.

    `reason` is that of an error and empty for a payment. `refund_state` is set for refunds.
    `restores` is how often the gateway's database had been put back before it was asked for.
    """

    request_id: str
    method: str
    payment_id: str = ""
    state: str = ""
    captured_minor: int = 0
    refund_id: str = ""
    refund_state: str = ""
    reason: str = ""
    restores: int = 0


@dataclass(frozen=True)
class RefundRecord:
    """A refund as the gateway shows it."""

    id: str
    request_id: str
    state: str
    amount_minor: int
    stripe_refund_id: str


@dataclass(frozen=True)
class PaymentRecord:
    """A payment as the gateway shows it in the end. `booking` is its state in the ledger."""

    id: str
    request_id: str
    state: str
    corridor: str
    currency: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    revision: int
    payment_intent_id: str
    charge_id: str
    booking: str
    open_operations: tuple[str, ...] = ()
    refunds: tuple[RefundRecord, ...] = ()
    # The corridors that it has left, in their order, each with the reason.
    left: tuple[tuple[str, str], ...] = ()
    create_time: datetime | None = None


@dataclass(frozen=True)
class Change:
    """One message of the feed."""

    sequence: int
    payment_id: str
    revision: int
    state: str


@dataclass(frozen=True)
class Told:
    """A change of which a client's endpoint was told by a webhook; `signed` with its secret."""

    sequence: int
    payment_id: str
    revision: int
    signed: bool = True


@dataclass(frozen=True)
class Intent:
    """A PaymentIntent at Stripe. `payment_id` is what its metadata says, `said` what became of each
    of its charges, APPROVED or why not, in their order."""

    id: str
    corridor: str
    payment_id: str
    status: str
    currency: str
    amount_minor: int
    received_minor: int
    charge_id: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class StripeRefund:
    """A refund at Stripe. `refund_id` is what its metadata says."""

    id: str
    intent_id: str
    refund_id: str
    status: str
    amount_minor: int


@dataclass(frozen=True)
class SavedObject:
    """A customer or a SetupIntent at Stripe. `asked` names what of ours it was made for."""

    id: str
    asked: str


@dataclass(frozen=True)
class Post:
    """A POST that reached Stripe, in the order of their coming. `status` is None where no answer
    was sent; `account` is the name of the corridor, empty where nobody looked at it."""

    path: str
    key: str
    body_hash: str
    account: str
    status: int | None = 200
    acted: bool = True
    # When it came, in seconds since 1970.
    time: float = 0.0


@dataclass(frozen=True)
class Believed:
    """What a decision of routing says of a candidate."""

    corridor: str
    approval: float
    technical_failure: float
    incident: float
    value: float
    value_spread: float
    propensity: float
    discount: float = 0.0
    method: int = 0


@dataclass(frozen=True)
class Decided:
    """A decision of routing as it was recorded; `hop` is 0 for the first of a payment, and how many
    corridors it had left by a later one. `believed` is in the operators' order."""

    payment_id: str
    hop: int
    arm: str
    share: float
    corridor: str
    propensity: float
    action: str
    seed: int
    explored: bool
    believed: tuple[Believed, ...]
    excluded: tuple[str, ...]
    decide_time: datetime


@dataclass(frozen=True)
class Learnt:
    """What routing has learnt of a decision."""

    payment_id: str
    hop: int
    arm: str
    corridor: str
    cause: str
    was_unknown: bool


@dataclass(frozen=True)
class AlarmRecord:
    """An alarm of foresight; minutes are UTC minutes since 1970."""

    corridor: str
    raise_minute: int
    state: str
    acted: bool
    breach_minute: int | None = None
    end_minute: int | None = None


@dataclass(frozen=True)
class IncidentChange:
    """One message of the feed of incidents."""

    sequence: int
    corridor: str
    raise_minute: int
    state: str


@dataclass(frozen=True)
class StandingRecord:
    """How a corridor is treated after the last minute that foresight has read."""

    corridor: str
    minute: int
    alarm_minute: int | None
    discount: float
    concurrency: float
    has_incident: bool


@dataclass(frozen=True)
class Intelligence:
    """What routing decided and learnt, and what foresight saw and did."""

    # The steps that operators took.
    steps: tuple[str, ...] = ()
    decided: tuple[Decided, ...] = ()
    learnt: tuple[Learnt, ...] = ()
    # How many outcomes went into the model in force, and how many of those are not of payments.
    learned: int = 0
    taught: int = 0
    # What foresight has seen, by corridor in their order.
    minutes: Mapping[str, tuple[Minute, ...]] = field(default_factory=dict)
    standings: tuple[StandingRecord, ...] = ()
    alarms: tuple[AlarmRecord, ...] = ()
    incidents: tuple[IncidentChange, ...] = ()


@dataclass(frozen=True)
class OutcomeLookup:
    """Everything, once all is quiet."""

    answers: tuple[Answer, ...] = ()
    payments: tuple[PaymentRecord, ...] = ()
    feed: tuple[Change, ...] = ()
    intents: tuple[Intent, ...] = ()
    stripe_refunds: tuple[StripeRefund, ...] = ()
    saved_objects: tuple[SavedObject, ...] = ()
    posts: tuple[Post, ...] = ()
    # Webhooks that the gateway acknowledged, and those that it has.
    acknowledged_events: frozenset[str] = frozenset()
    stored_events: frozenset[str] = frozenset()
    dead_letters: tuple[str, ...] = ()
    # Forged webhooks that were answered with success.
    accepted_forgeries: tuple[str, ...] = ()
    # Calls of a certificate without rights that were not refused.
    let_in: tuple[str, ...] = ()
    # Payments that people refuse, whenever they look at them.
    refused: frozenset[str] = frozenset()
    # Where ledger and Stripe differ, in words; empty if they agree to the cent.
    books_differences: tuple[str, ...] = ()
    ledger_intact: bool = True
    # What an endpoint that takes all changes was told, in the order of arrival; None without one.
    told: tuple[Told, ...] | None = None
    # What is still under way although everybody waited for it, in words.
    restless: tuple[str, ...] = ()
    # How often the gateway's database was put back to an older moment.
    restores: int = 0
    # Of what was before it the gateway's database may have lost something; None without restores.
    lost_until: datetime | None = None
    # Whether every deadline has passed by now.
    past_horizon: bool = False
    # By request_id the corridors that client and operators let a payment use, its own one first.
    may_use: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Of keys, without the attempt, that make PaymentIntents: for which payment in which corridor.
    charges: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    intelligence: Intelligence = field(default_factory=Intelligence)

    def may_be_lost(self, at: datetime | None) -> bool:
        """Whether the gateway's database may have lost what happened then, or nobody knows when."""
        return self.lost_until is not None and (at is None or at < self.lost_until)
