"""What a payment's steps mean for the books: holds, their release, captures, refunds.

A hold is reported in the transaction that starts an authorisation, so it stands before Stripe is
asked, and released only by a step that says how the authorisation ended: never while that is
unknown.
"""

from datetime import datetime

from gateway.bookkeeping.facts import (
    Captured,
    Fact,
    HoldPlaced,
    HoldReleased,
    RefundCreated,
    RefundFailed,
    ReleaseReason,
    StripeBalance,
)
from gateway.payments.payment import Change, Payment
from gateway.payments.refund import RETURNED, Refund
from gateway.payments.states import Transition

_REASONS = {
    Transition.DECLINED: ReleaseReason.DECLINED,
    Transition.CANCELED: ReleaseReason.CANCELED,
    Transition.EXPIRED: ReleaseReason.EXPIRED,
    Transition.FAILED: ReleaseReason.FAILED,
    Transition.QUEUED: ReleaseReason.FAILED,
    Transition.FAILED_OVER: ReleaseReason.FAILED,
    Transition.RETRY_SCHEDULED: ReleaseReason.DECLINED,
    Transition.RETRY_POSTPONED: ReleaseReason.FAILED,
}


def facts_of(change: Change, now: datetime) -> list[Fact]:
    """The facts of one step, in order."""
    if change.before is None:
        return []
    before, after = change.before, change.after
    facts: list[Fact] = []
    if after.hold_id and after.hold_id != before.hold_id:
        facts.append(_placed(after, after.hold_id, now))
    captured = change.transition == Transition.CAPTURED
    if captured:
        hold_id = before.hold_id
        if not hold_id:
            # A charge that surfaces after its hold was released: it gets a hold of its own.
            hold_id = after.payment_intent_id
            facts.append(_placed(after, hold_id, now))
        facts.append(
            Captured(
                corridor=after.corridor,
                currency=after.currency,
                effective_time=now,
                payment_id=after.id,
                merchant_id=after.merchant_id,
                hold_id=hold_id,
                charge_id=after.charge_id,
                amount_minor=after.captured_minor,
            )
        )
    elif before.hold_id and not after.hold_id:
        facts.append(
            HoldReleased(
                # A failover leads away from the account that the hold was placed at.
                corridor=before.corridor,
                currency=after.currency,
                effective_time=now,
                payment_id=after.id,
                merchant_id=after.merchant_id,
                hold_id=before.hold_id,
                amount_minor=before.amount_minor,
                reason=_REASONS[Transition(change.transition)],
            )
        )
    return facts


def facts_of_refund(payment: Payment, before: Refund, after: Refund, now: datetime) -> list[Fact]:
    """The facts when a refund became another: it left Stripe's balance, it came back."""
    facts: list[Fact] = []
    if after.stripe_refund_id and not before.stripe_refund_id:
        facts.append(
            RefundCreated(
                corridor=payment.corridor,
                currency=payment.currency,
                effective_time=now,
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                refund_id=after.stripe_refund_id,
                amount_minor=after.amount_minor,
                balance=StripeBalance(after.balance),
            )
        )
    if after.stripe_refund_id and after.state in RETURNED and before.state not in RETURNED:
        facts.append(
            RefundFailed(
                corridor=payment.corridor,
                currency=payment.currency,
                effective_time=now,
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                refund_id=after.stripe_refund_id,
                amount_minor=after.amount_minor,
            )
        )
    return facts


def _placed(payment: Payment, hold_id: str, now: datetime) -> HoldPlaced:
    return HoldPlaced(
        corridor=payment.corridor,
        currency=payment.currency,
        effective_time=now,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        hold_id=hold_id,
        amount_minor=payment.amount_minor,
    )
