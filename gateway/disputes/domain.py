"""A dispute as Stripe describes it, and what may be done about it. Pure.

https://docs.stripe.com/api/disputes/object
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gateway.balance.movement import Movement
from gateway.bookkeeping.balance_facts import (
    AccountFeeCharged,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
)
from gateway.bookkeeping.facts import Fact
from gateway.money import from_stripe


class DisputeState(StrEnum):
    """Where a dispute stands; the names are those of gateway.v1.DisputeState."""

    WARNING_NEEDS_RESPONSE = "WARNING_NEEDS_RESPONSE"
    WARNING_UNDER_REVIEW = "WARNING_UNDER_REVIEW"
    WARNING_CLOSED = "WARNING_CLOSED"
    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    WON = "WON"
    LOST = "LOST"
    PREVENTED = "PREVENTED"
    APPEAL_NEEDS_RESPONSE = "APPEAL_NEEDS_RESPONSE"
    APPEAL_UNDER_REVIEW = "APPEAL_UNDER_REVIEW"


S = DisputeState
CLOSED = frozenset({S.WARNING_CLOSED, S.WON, S.LOST, S.PREVENTED})
LOSSES = frozenset({S.LOST, S.PREVENTED})
# Evidence can be sent, once for the dispute and once for an appeal.
ANSWERABLE = frozenset({S.WARNING_NEEDS_RESPONSE, S.NEEDS_RESPONSE, S.APPEAL_NEEDS_RESPONSE})
APPEALS = frozenset({S.APPEAL_NEEDS_RESPONSE, S.APPEAL_UNDER_REVIEW})
# A dispute only goes forward: an inquiry may become a chargeback, a lost one may be appealed. What
# was read earlier and comes later is told by its lower rank, but for an appeal that is lost.
_RANKS = {
    S.WARNING_NEEDS_RESPONSE: 0,
    S.WARNING_UNDER_REVIEW: 1,
    S.WARNING_CLOSED: 2,
    S.NEEDS_RESPONSE: 3,
    S.UNDER_REVIEW: 4,
    S.PREVENTED: 5,
    S.LOST: 5,
    S.APPEAL_NEEDS_RESPONSE: 6,
    S.APPEAL_UNDER_REVIEW: 7,
    S.WON: 8,
}


class UnreadableDisputeError(ValueError):
    """Stripe describes the dispute in words that we do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One dispute of one payment. `amount_minor` is of the payment's currency; the fee has the
    currency in which Stripe took it."""

    id: str
    payment_id: str
    merchant_id: str
    corridor: str
    stripe_dispute_id: str
    state: DisputeState
    currency: str
    amount_minor: int
    network_cause: str
    effective_time: datetime
    create_time: datetime
    update_time: datetime
    # When the look at Stripe began that this is from.
    look_time: datetime
    # Stripe has taken the money and has not given it back.
    is_held: bool = False
    # We have seen it lost: the money that an appeal brings back is the merchant's again.
    was_lost: bool = False
    fee_minor: int | None = None
    fee_currency: str = ""
    evidence_due_time: datetime | None = None
    submission_count: int = 0

    @property
    def held_minor(self) -> int:
        """What the dispute keeps of the payment now."""
        return self.amount_minor if self.is_held else 0

    @property
    def closed(self) -> bool:
        """Whether it is decided."""
        return self.state in CLOSED


def read_dispute(
    stripe_dispute: Mapping[str, Any],
    *,
    dispute_id: str,
    payment_id: str,
    merchant_id: str,
    corridor: str,
    look_time: datetime,
    now: datetime,
) -> Dispute:
    """The dispute that Stripe describes. Raises UnreadableDisputeError."""
    try:
        details = stripe_dispute["evidence_details"]
        currency = str(stripe_dispute["currency"]).upper()
        due = details["due_by"]
        dispute = Dispute(
            id=dispute_id,
            payment_id=payment_id,
            merchant_id=merchant_id,
            corridor=corridor,
            stripe_dispute_id=str(stripe_dispute["id"]),
            state=DisputeState(str(stripe_dispute["status"]).upper()),
            currency=currency,
            amount_minor=from_stripe(currency, int(stripe_dispute["amount"])),
            network_cause=str(stripe_dispute["reason"]),
            effective_time=datetime.fromtimestamp(int(stripe_dispute["created"]), UTC),
            create_time=now,
            update_time=now,
            look_time=look_time,
            evidence_due_time=datetime.fromtimestamp(int(due), UTC) if due else None,
            submission_count=int(details["submission_count"]),
        )
        transactions = stripe_dispute["balance_transactions"]
        if not transactions:
            return dispute
        fee_currency = str(transactions[0]["currency"]).upper()
        return replace(
            dispute,
            is_held=sum(int(transaction["amount"]) for transaction in transactions) < 0,
            was_lost=dispute.state in LOSSES,
            # A part that came back when the dispute was won has its own transaction.
            fee_minor=from_stripe(
                fee_currency, sum(int(transaction["fee"]) for transaction in transactions)
            ),
            fee_currency=fee_currency,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableDisputeError(type(error).__name__) from error


def newer(before: Dispute, seen: Dispute) -> Dispute:
    """The dispute after another look; `before` itself if there is nothing new, or if what was
    seen is older."""
    appeal_lost = before.state in APPEALS and seen.state is S.LOST
    behind = _RANKS[seen.state] < _RANKS[before.state] and not appeal_lost
    if behind or seen.look_time < before.look_time:
        return before
    after = replace(
        seen,
        id=before.id,
        was_lost=before.was_lost or seen.was_lost,
        create_time=before.create_time,
        update_time=before.update_time,
        look_time=before.look_time,
    )
    if after == before:
        return before
    return replace(after, update_time=seen.update_time, look_time=seen.look_time)


def dispute_facts(dispute: Dispute, movements: Sequence[Movement]) -> list[Fact]:
    """The facts of a dispute, in order; reporting them again is safe."""
    facts: list[Fact] = []
    for movement in movements:
        about: dict[str, Any] = {
            "corridor": dispute.corridor,
            "currency": movement.currency,
            "effective_time": movement.create_time,
        }
        opened = movement.amount_minor < 0
        fee_minor = movement.fee_minor if opened else -movement.fee_minor
        told: dict[str, Any] = {
            **about,
            "payment_id": dispute.payment_id,
            "merchant_id": dispute.merchant_id,
            "dispute_id": dispute.stripe_dispute_id,
            "amount_minor": abs(movement.amount_minor),
            "fee_minor": max(fee_minor, 0),
            "balance": movement.begins_in,
        }
        facts.append(
            DisputeOpened(**told) if opened else DisputeWon(**told, was_lost=dispute.was_lost)
        )
        if fee_minor < 0:
            # A fee the other way than a dispute's goes is booked by itself.
            facts.append(
                AccountFeeCharged(
                    **about,
                    balance_transaction_id=movement.id,
                    type=movement.type,
                    amount_minor=movement.fee_minor,
                    balance=movement.begins_in,
                )
            )
    if dispute.was_lost and movements:
        facts.insert(
            1,
            DisputeLost(
                corridor=dispute.corridor,
                currency=movements[0].currency,
                effective_time=dispute.update_time,
                payment_id=dispute.payment_id,
                merchant_id=dispute.merchant_id,
                dispute_id=dispute.stripe_dispute_id,
                amount_minor=abs(movements[0].amount_minor),
            ),
        )
    return facts
