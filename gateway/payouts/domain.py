"""A payout as Stripe describes it, how it goes on, and what it means for the books. Pure.

https://docs.stripe.com/api/payouts/object

A merchant's payout moves money that is the merchant's own at Stripe: it left the platform's books
with the transfer that brought it there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from gateway.bookkeeping.balance_facts import PayoutCreated, PayoutFailed, PayoutPaid
from gateway.bookkeeping.facts import Fact
from gateway.money import from_stripe
from gateway.payments.domain.intents import id_of
from gateway.stripe_times import made_time


class PayoutState(StrEnum):
    """Where a payout stands; the names are those of gateway.v1.PayoutState."""

    CREATING = "CREATING"
    IN_REVIEW = "IN_REVIEW"
    BLOCKED = "BLOCKED"
    PENDING = "PENDING"
    IN_TRANSIT = "IN_TRANSIT"
    PAID = "PAID"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


# At Stripe a payout only goes forward; what was read earlier is told by its lower rank.
_RANKS = {
    PayoutState.PENDING: 1,
    PayoutState.IN_TRANSIT: 2,
    PayoutState.PAID: 3,
    PayoutState.FAILED: 4,
    PayoutState.CANCELED: 4,
}
# The money came back to Stripe's balance.
RETURNED = frozenset({PayoutState.FAILED, PayoutState.CANCELED})


# Stripe's words for what is still to be told: the bank's reference, and what a payout contains.
_TRACE_PENDING, _CONTENT_PENDING = "pending", "in_progress"
# A payout is looked at an hour after it was to arrive, and then ever more rarely; a reference that
# has not come some days after Stripe's ten will not.
FIRST_LOOK = timedelta(hours=1)
LONGEST_PAUSE = timedelta(days=1)
LAST_LOOK = timedelta(days=14)


class UnreadablePayoutError(ValueError):
    """Stripe describes the payout in words that we do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """One payout. `amount_minor` is below zero where Stripe takes from the bank; `account_id` and
    `merchant_id` are empty for the platform's own payouts."""

    id: str
    merchant_id: str
    corridor: str
    account_id: str
    state: PayoutState
    currency: str
    amount_minor: int
    create_time: datetime
    update_time: datetime
    request_id: str = ""
    statement_descriptor: str = ""
    automatic: bool = False
    stripe_payout_id: str = ""
    failure_code: str = ""
    arrival_time: datetime | None = None
    # We have seen it paid: a failure afterwards takes the money from the bank.
    was_paid: bool = False
    # Stripe's words and ids; empty until known, and where there is none.
    stripe_create_time: datetime | None = None
    method: str = ""
    source_type: str = ""
    destination_type: str = ""
    destination_id: str = ""
    reconciliation_status: str = ""
    trace_id_status: str = ""
    trace_id: str = ""
    original_payout_id: str = ""
    reversed_by_payout_id: str = ""
    # When the money came back to Stripe's balance; None before, and where Stripe does not tell.
    return_time: datetime | None = None
    # What took it from Stripe's balance, and what brought it back.
    balance_transaction_id: str = ""
    failure_balance_transaction_id: str = ""
    # Of a part of a split payout: the one that lists what all of them contain. Stripe does not tell
    # it: the balance sweep finds it out, when it has read what they contain.
    primary_payout_id: str = ""
    content_complete: bool = False


def as_stripe_says(before: Payout, stripe_payout: Mapping[str, Any], now: datetime) -> Payout:
    """The payout after a look at Stripe's; `before` itself if there is nothing new, or if what
    was seen is older. Raises UnreadablePayoutError."""
    try:
        state = PayoutState(str(stripe_payout["status"]).upper())
        arrival = stripe_payout["arrival_date"]
        after = replace(
            before,
            state=state,
            automatic=bool(stripe_payout["automatic"]),
            stripe_payout_id=str(stripe_payout["id"]),
            failure_code=str(stripe_payout.get("failure_code") or ""),
            arrival_time=datetime.fromtimestamp(int(arrival), UTC) if arrival else None,
            was_paid=before.was_paid or state is PayoutState.PAID,
            return_time=made_time(stripe_payout.get("failure_balance_transaction"))
            or before.return_time,
            **_details(stripe_payout),
            failure_balance_transaction_id=id_of(stripe_payout.get("failure_balance_transaction"))
            or before.failure_balance_transaction_id,
        )
        rank = _RANKS[state]
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadablePayoutError(type(error).__name__) from error
    # Without Stripe's id nothing of it was known: what Stripe shows is the truth.
    if before.stripe_payout_id and rank < _RANKS[before.state]:
        return before
    return before if after == before else replace(after, update_time=now)


def _details(stripe_payout: Mapping[str, Any]) -> dict[str, Any]:
    """Where it goes, how, and by what the bank knows it."""
    trace: Mapping[str, Any] = stripe_payout.get("trace_id") or {}
    return {
        "stripe_create_time": made_time(stripe_payout),
        "method": str(stripe_payout.get("method") or ""),
        "source_type": str(stripe_payout.get("source_type") or ""),
        "destination_type": str(stripe_payout.get("type") or ""),
        "destination_id": id_of(stripe_payout.get("destination")),
        "reconciliation_status": str(stripe_payout.get("reconciliation_status") or ""),
        "trace_id_status": str(trace.get("status") or ""),
        "trace_id": str(trace.get("value") or ""),
        "original_payout_id": id_of(stripe_payout.get("original_payout")),
        "reversed_by_payout_id": id_of(stripe_payout.get("reversed_by")),
        "balance_transaction_id": id_of(stripe_payout.get("balance_transaction")),
    }


def made_elsewhere(
    stripe_payout: Mapping[str, Any],
    *,
    payout_id: str,
    request_id: str,
    merchant_id: str,
    corridor: str,
    account_id: str,
    now: datetime,
) -> Payout:
    """A payout that the database does not know: by Stripe's schedule, from its dashboard, or one
    that was lost, which has the `request_id` that asked for it."""
    try:
        currency = str(stripe_payout["currency"]).upper()
        return Payout(
            id=payout_id,
            request_id=request_id,
            merchant_id=merchant_id,
            corridor=corridor,
            account_id=account_id,
            state=PayoutState.CREATING,
            currency=currency,
            amount_minor=from_stripe(currency, int(stripe_payout["amount"])),
            statement_descriptor=str(stripe_payout.get("statement_descriptor") or ""),
            create_time=now,
            update_time=now,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadablePayoutError(type(error).__name__) from error


def next_look_time(payout: Payout, now: datetime) -> datetime | None:
    """When Stripe is to be asked for news that no event may bring; None if there is none to come.

    Of what the bank has had its reference and the content may come late, without an event; of
    what has not, the event that it was may have been lost. What a release has read that did not
    keep it whole is asked for until Stripe has said how it is.
    """
    if payout.stripe_payout_id and payout.stripe_create_time is None:
        return now + LONGEST_PAUSE
    on_its_way = payout.state in (PayoutState.PENDING, PayoutState.IN_TRANSIT)
    # Of one that failed after the bank had it the reference is asked for as well.
    untold = payout.state in (PayoutState.PAID, PayoutState.FAILED) and (
        payout.trace_id_status == _TRACE_PENDING or payout.reconciliation_status == _CONTENT_PENDING
    )
    if payout.arrival_time is None or not (on_its_way or untold):
        return None
    late = now - payout.arrival_time
    if late >= LAST_LOOK:
        return None
    pause = min(max(late / 4, FIRST_LOOK), LONGEST_PAUSE)
    return max(payout.arrival_time, now) + pause


def payout_facts(payout: Payout, now: datetime) -> list[Fact]:
    """The facts of a payout, in order; reporting them again is safe. They are effective when it was
    made and was to arrive at the bank, and a return when its balance transaction was made."""
    if payout.account_id or not payout.stripe_payout_id:
        return []
    about: dict[str, Any] = {
        "corridor": payout.corridor,
        "currency": payout.currency,
        "payout_id": payout.stripe_payout_id,
        "amount_minor": payout.amount_minor,
    }
    created = payout.stripe_create_time or now
    # When it arrived nobody says; it was expected then, and not later than it was seen to be paid.
    paid = max(created, min(payout.arrival_time or now, now))
    facts: list[Fact] = [PayoutCreated(**about, effective_time=created)]
    if payout.was_paid:
        facts.append(PayoutPaid(**about, effective_time=paid))
    if payout.state in RETURNED:
        returned = payout.return_time or now
        facts.append(PayoutFailed(**about, effective_time=returned, was_paid=payout.was_paid))
    return facts
