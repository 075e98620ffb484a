"""A balance at Stripe as a sweep found it, and which of them have drifted: pure rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from reconciliation.conditions.condition import Condition
from reconciliation.matching.policy import BreakKind

# In one sweep a balance may differ for what Stripe shows a moment later.
DRIFT_SWEEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One part of a balance, in one currency, and the sum of its balance transactions."""

    corridor: str
    currency: str
    part: str
    stripe_minor: int
    sum_minor: int
    differing_sweeps: int
    """Sweeps in a row in which the two differed."""
    differs_since: datetime | None
    sweep_time: datetime


def drifts(balances: Iterable[Balance]) -> list[Condition]:
    """The balances that are not the sum of their balance transactions, in two sweeps at least: by
    how much Stripe has more than the sum."""
    return [
        Condition(
            kind=BreakKind.BALANCE_DRIFT,
            corridor=balance.corridor,
            subject=f"balance {balance.part} {balance.currency}",
            since=balance.differs_since or balance.sweep_time,
            says=f"Stripe's balance ({balance.part}) less the sum of its balance transactions",
            amounts=((balance.currency, balance.stripe_minor - balance.sum_minor),),
        )
        for balance in balances
        if balance.differing_sweeps >= DRIFT_SWEEPS and balance.stripe_minor != balance.sum_minor
    ]
