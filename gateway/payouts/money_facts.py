"""What a payout of the platform means for the books. Pure.

A merchant's payout moves money that is the merchant's own at Stripe: it left the platform's books
with the transfer that brought it there.
"""

from datetime import datetime
from typing import Any

from gateway.bookkeeping.balance_facts import PayoutCreated, PayoutFailed, PayoutPaid
from gateway.bookkeeping.facts import Fact
from gateway.payouts.payout import RETURNED, Payout


def payout_facts(payout: Payout, now: datetime) -> list[Fact]:
    """The facts of a payout, in order; reporting them again is safe."""
    if payout.account_id or not payout.stripe_payout_id:
        return []
    about: dict[str, Any] = {
        "corridor": payout.corridor,
        "currency": payout.currency,
        "effective_time": now,
        "payout_id": payout.stripe_payout_id,
        "amount_minor": payout.amount_minor,
    }
    facts: list[Fact] = [PayoutCreated(**about)]
    if payout.was_paid:
        facts.append(PayoutPaid(**about))
    if payout.state in RETURNED:
        facts.append(PayoutFailed(**about, was_paid=payout.was_paid))
    return facts
