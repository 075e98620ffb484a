"""A refund: money that goes back to the customer, and how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.bookkeeping.facts import StripeBalance
from gateway.stripe_times import made_time


class RefundState(StrEnum):
    """Where a refund stands."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    REQUIRES_ACTION = "REQUIRES_ACTION"


class RefundCause(StrEnum):
    """Why the money goes back."""

    UNSPECIFIED = "UNSPECIFIED"
    REQUESTED_BY_CUSTOMER = "REQUESTED_BY_CUSTOMER"
    DUPLICATE = "DUPLICATE"
    FRAUDULENT = "FRAUDULENT"


# https://docs.stripe.com/api/refunds/object#refund_object-status
_STATES: Mapping[str, RefundState] = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.REQUIRES_ACTION,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.CANCELED,
}
PENDING_BALANCE, AVAILABLE_BALANCE = "pending", "available"
# The customer does not get it: what was taken from the balance for it comes back.
RETURNED = frozenset({RefundState.FAILED, RefundState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund of one payment; `amount_minor` is of the payment's currency."""

    id: str
    request_id: str
    payment_id: str
    state: RefundState
    amount_minor: int
    create_time: datetime
    update_time: datetime
    cause: RefundCause = RefundCause.UNSPECIFIED
    stripe_refund_id: str = ""
    failure_code: str = ""
    # While it is pending at Stripe: "processing", "insufficient_funds" or "charge_pending".
    pending_reason: str = ""
    # The part of Stripe's balance that it was taken from: "pending" or "available".
    balance: str = PENDING_BALANCE
    # Stripe has it and has taken nothing from its balance yet, for example for lack of any.
    untaken: bool = False
    # It has failed, and what was taken for it has not come back to the balance yet.
    unreturned: bool = False
    # What it takes back of a destination charge; None where there is nothing of the kind to take
    # back, or it was made elsewhere and does not tell.
    reverse_transfer: bool | None = None
    refund_application_fee: bool | None = None
    # When Stripe took it from its balance, and when that came back; None before, or if not told.
    take_time: datetime | None = None
    return_time: datetime | None = None

    @property
    def taken(self) -> bool:
        """Whether Stripe has taken it from its balance, whatever became of it afterwards."""
        return bool(self.stripe_refund_id) and not self.untaken

    @property
    def returned(self) -> bool:
        """Whether what Stripe had taken came back to its balance."""
        return self.taken and self.state in RETURNED and not self.unreturned

    @property
    def accepted(self) -> bool:
        """Whether the money is on its way to the customer, or there."""
        going = self.taken or self.state is RefundState.SUCCEEDED
        return going and self.state not in RETURNED

    @property
    def undecided(self) -> bool:
        """Whether it may still be accepted: it counts against what can be refunded."""
        return not self.accepted and self.state not in RETURNED


def as_stripe_says(refund: Refund, stripe_refund: Mapping[str, Any], now: datetime) -> Refund:
    """The refund as Stripe's object describes it.

    Nothing follows FAILED and CANCELED, and only they follow SUCCEEDED, so that a late answer
    takes nothing back: a resend is answered with what was so when the refund was made. But one that
    we gave up ourselves and that Stripe has after all is as Stripe says. An unknown status counts
    as pending. What moved is told by the refund's balance transactions alone: one
    that waits for balance has none, and one that failed before it moved never will. When it moved
    they tell, too; of one that is not expanded, the refund tells when it was made.
    https://docs.stripe.com/api/refunds/object
    """
    over = refund.state in RETURNED and bool(refund.stripe_refund_id)
    state = _STATES.get(str(stripe_refund.get("status")), RefundState.PENDING)
    if over or (refund.state is RefundState.SUCCEEDED and state not in RETURNED):
        state = refund.state
    transaction = stripe_refund.get("balance_transaction")
    failure = stripe_refund.get("failure_balance_transaction")
    back = failure is not None
    taken = refund.taken or transaction is not None or back
    balance = refund.balance
    if not refund.taken and isinstance(transaction, Mapping):
        balance = _part_of_balance(transaction)
    pending_reason = str(stripe_refund.get("pending_reason") or "")
    if refund.taken and transaction is None:
        # From before it was taken: its reason has gone.
        pending_reason = refund.pending_reason
    after = replace(
        refund,
        balance=balance,
        state=state,
        stripe_refund_id=str(stripe_refund["id"]),
        failure_code=str(
            stripe_refund.get("failure_reason") or (refund.failure_code if over else "")
        ),
        pending_reason=pending_reason if state is RefundState.PENDING else "",
        untaken=not taken,
        unreturned=taken and state in RETURNED and not (refund.returned or back),
        reverse_transfer=bool(stripe_refund.get("transfer_reversal")) or refund.reverse_transfer,
        take_time=refund.take_time
        or (made_time(transaction) or made_time(stripe_refund) if taken else None),
        return_time=refund.return_time or made_time(failure),
    )
    return after if over and after == refund else replace(after, update_time=now)


def _part_of_balance(transaction: Mapping[str, Any]) -> str:
    """Where it was taken from. What was so when it was made is asked first: the status goes on."""
    other = StripeBalance.besides_payments(transaction.get("balance_type"))
    if other is not None:
        return other
    at_once = transaction.get("status") == AVAILABLE_BALANCE
    if "available_on" in transaction:
        at_once = int(transaction["available_on"]) <= int(transaction["created"])
    return AVAILABLE_BALANCE if at_once else PENDING_BALANCE
