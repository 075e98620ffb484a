"""A refund: money that goes back to the customer, and how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any


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
# A refund in one of these is not in the balance any more: the money came back.
PENDING_BALANCE, AVAILABLE_BALANCE = "pending", "available"
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
    # The part of Stripe's balance that it was taken from: "pending" or "available".
    balance: str = PENDING_BALANCE

    @property
    def accepted(self) -> bool:
        """Whether Stripe took it from the balance, and it did not come back."""
        return bool(self.stripe_refund_id) and self.state not in RETURNED


def as_stripe_says(refund: Refund, stripe_refund: Mapping[str, Any], now: datetime) -> Refund:
    """The refund as Stripe's object describes it.

    Nothing follows FAILED and CANCELED, and only they follow SUCCEEDED, so that a late answer
    takes nothing back: a resend is answered with what was so when the refund was made. An unknown
    status counts as pending.
    """
    if refund.state in RETURNED:
        return refund
    state = _STATES.get(str(stripe_refund.get("status")), RefundState.PENDING)
    if refund.state is RefundState.SUCCEEDED and state not in RETURNED:
        state = RefundState.SUCCEEDED
    transaction = stripe_refund.get("balance_transaction")
    balance = refund.balance
    if not refund.stripe_refund_id and isinstance(transaction, Mapping):
        available = transaction.get("status") == AVAILABLE_BALANCE
        balance = AVAILABLE_BALANCE if available else PENDING_BALANCE
    return replace(
        refund,
        balance=balance,
        state=state,
        stripe_refund_id=str(stripe_refund["id"]),
        failure_code=str(stripe_refund.get("failure_reason") or ""),
        update_time=now,
    )
