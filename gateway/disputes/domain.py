"""A dispute as Stripe describes it, and what may be done about it. Pure.

https://docs.stripe.com/api/disputes/object
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from gateway.balance.movement import Movement, read_movement
from gateway.bookkeeping.balance_facts import DisputeDecided, DisputeMoved
from gateway.bookkeeping.facts import Fact, StripeBalance
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
# Evidence can be sent, once for the dispute and once for an appeal.
ANSWERABLE = frozenset({S.WARNING_NEEDS_RESPONSE, S.NEEDS_RESPONSE, S.APPEAL_NEEDS_RESPONSE})
APPEALS = frozenset({S.APPEAL_NEEDS_RESPONSE, S.APPEAL_UNDER_REVIEW})
# What the dispute has moved is the merchant's for good; only what is lost can be appealed.
DECIDED = CLOSED | APPEALS
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
class DisputeMovement:
    """What never changes of one balance transaction of a dispute. Amounts are signed minor units
    of `currency`; `exchange_rate` is Stripe's decimal, empty if it told none."""

    id: str
    currency: str
    amount_minor: int
    fee_minor: int
    exchange_rate: str
    begins_in: StripeBalance
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One dispute of one payment. `amount_minor` is of the payment's currency."""

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
    # All that were ever seen, in the order of their times.
    movements: tuple[DisputeMovement, ...] = ()
    evidence_due_time: datetime | None = None
    submission_count: int = 0
    # When it was first decided; None before, and if a release that did not keep it has seen that.
    decide_time: datetime | None = None

    @property
    def held_minor(self) -> int:
        """What the dispute keeps of the payment now: the sum of all its movements, each at its own
        rate; zero if more came back than went."""
        held = 0
        for movement in self.movements:
            if movement.currency == self.currency:
                held -= movement.amount_minor
            elif movement.amount_minor < 0:
                held += self._converted(movement, whole_minor=self.amount_minor)
            elif movement.amount_minor > 0:
                held -= self._converted(movement, whole_minor=held)
        return max(held, 0)

    @property
    def fee_currency(self) -> str:
        """The currency in which Stripe took its fee; empty while no money has moved."""
        return self.movements[0].currency if self.movements else ""

    @property
    def fee_minor(self) -> int | None:
        """What Stripe keeps as its fee, less what came back of it; None while no money has
        moved."""
        fees = [each.fee_minor for each in self.movements if each.currency == self.fee_currency]
        return sum(fees) if fees else None

    @property
    def closed(self) -> bool:
        """Whether it is decided."""
        return self.state in CLOSED

    def _converted(self, movement: DisputeMovement, whole_minor: int) -> int:
        """What a movement in another currency is in the dispute's, without its sign.

        Stripe rounds to the settlement's minor unit and tells a rate of six decimals: whatever
        may be `whole_minor`, all that was disputed or all that is left, is taken for it, so that
        rounding leaves nothing behind. Without a rate, what was withdrawn in that currency stands
        for the whole dispute, and what came back for all that is left once it is won.
        https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-exchange_rate
        """
        settled = abs(movement.amount_minor)
        if movement.exchange_rate:
            rate = Fraction(movement.exchange_rate)
            exact = settled / rate
            error = (Fraction(1, 2) + exact * RATE_ERROR) / rate
        elif movement.amount_minor > 0 and self.state is S.WON:
            return whole_minor
        else:
            withdrawn = sum(
                -each.amount_minor
                for each in self.movements
                if each.currency == movement.currency and each.amount_minor < 0
            )
            exact = Fraction(settled * self.amount_minor, withdrawn) if withdrawn else Fraction(0)
            error = Fraction(0)
        return whole_minor if abs(exact - whole_minor) <= error else round(exact)


# Half of the last decimal of a rate.
RATE_ERROR = Fraction(1, 2_000_000)


def dispute_movement(movement: Movement) -> DisputeMovement:
    """What a dispute keeps of one of its balance transactions."""
    return DisputeMovement(
        id=movement.id,
        currency=movement.currency,
        amount_minor=movement.amount_minor,
        fee_minor=movement.fee_minor,
        exchange_rate=movement.exchange_rate,
        begins_in=movement.begins_in,
        create_time=movement.create_time,
    )


def in_order(movements: Iterable[DisputeMovement]) -> tuple[DisputeMovement, ...]:
    """Each movement once, by its time; of one second, what was withdrawn before what came back."""
    by_id = {movement.id: movement for movement in movements}
    return tuple(
        sorted(by_id.values(), key=lambda each: (each.create_time, each.amount_minor, each.id))
    )


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
        return Dispute(
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
            movements=in_order(
                dispute_movement(read_movement(corridor, transaction))
                for transaction in stripe_dispute["balance_transactions"]
            ),
            evidence_due_time=datetime.fromtimestamp(int(due), UTC) if due else None,
            submission_count=int(details["submission_count"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableDisputeError(type(error).__name__) from error


def decided(dispute: Dispute, told: datetime | None) -> Dispute:
    """The dispute with the time at which it was decided, if it is.

    Stripe's object has none: it is `told` by the event that it was closed; without that, what came
    back of one that was won came when it was, and else it was decided when that was seen.
    https://docs.stripe.com/api/disputes/object
    """
    if dispute.state not in DECIDED:
        return dispute
    back = [each.create_time for each in dispute.movements if each.amount_minor > 0]
    won = max(back) if back and dispute.state is S.WON else None
    return replace(dispute, decide_time=told or won or dispute.update_time)


def newer(before: Dispute, seen: Dispute) -> Dispute:
    """The dispute after another look; `before` itself if there is nothing new.

    If what was seen is older, its state says nothing; a movement that it shows has happened.
    """
    appeal_lost = before.state in APPEALS and seen.state is S.LOST
    behind = _RANKS[seen.state] < _RANKS[before.state] and not appeal_lost
    late = behind or seen.look_time < before.look_time
    decide_time = seen.decide_time
    if late or before.state in DECIDED:
        decide_time = before.decide_time
    after = replace(
        before if late else seen,
        id=before.id,
        decide_time=decide_time,
        movements=in_order((*before.movements, *seen.movements)),
        create_time=before.create_time,
        update_time=before.update_time,
        look_time=before.look_time,
    )
    if after == before:
        return before
    look_time = max(before.look_time, seen.look_time)
    return replace(after, update_time=seen.update_time, look_time=look_time)


def dispute_facts(dispute: Dispute) -> list[Fact]:
    """The facts of a dispute, in order; reporting them again is safe.

    Each says what one movement says, whatever else has moved, and whenever it was seen: when it
    was made, and when the dispute was decided, if that was later.
    """
    facts: list[Fact] = []
    for movement in dispute.movements:
        about: dict[str, Any] = {
            "corridor": dispute.corridor,
            "currency": movement.currency,
            "payment_id": dispute.payment_id,
            "merchant_id": dispute.merchant_id,
            "dispute_id": dispute.stripe_dispute_id,
            "balance_transaction_id": movement.id,
            "amount_minor": movement.amount_minor,
        }
        if movement.amount_minor or movement.fee_minor:
            facts.append(
                DisputeMoved(
                    **about,
                    effective_time=movement.create_time,
                    fee_minor=movement.fee_minor,
                    balance=movement.begins_in,
                )
            )
        if movement.amount_minor and dispute.state in DECIDED:
            decide_time = dispute.decide_time or dispute.update_time
            when = max(decide_time, movement.create_time)
            facts.append(DisputeDecided(**about, effective_time=when))
    return facts
