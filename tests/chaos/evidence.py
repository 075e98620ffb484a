"""What the judge is shown: what clients saw, and what gateway, ledger and Stripe say in the end.

Plain data, so that a faulty history can be made by hand. Amounts are minor units, currencies
upper-case, states those of the contracts without their prefix.
"""

from dataclasses import dataclass

# What a client takes as the last word about a payment. FAILED counts unless the same request may
# begin anew, which is answered with an error.
FINAL_STATES = frozenset({"BLOCKED", "SUCCEEDED", "DECLINED", "CANCELED", "EXPIRED", "FAILED"})
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
    """A PaymentIntent at Stripe. `payment_id` is what its metadata says."""

    id: str
    corridor: str
    payment_id: str
    status: str
    currency: str
    amount_minor: int
    received_minor: int
    charge_id: str = ""


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
    """A POST that reached Stripe."""

    path: str
    key: str
    body_hash: str
    account: str


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
    # Whether every deadline has passed by now.
    past_horizon: bool = False
