"""Limits on what happened before: the policy's data, and what a release brings. Pure.

Each limit measures one thing and says what follows when it is more than `over`. Amounts are
measured in percent of the review limit of the payment's currency, so that one number serves all
currencies and nothing is converted: payments in another currency count towards that one's limit.
"""

from dataclasses import dataclass
from enum import StrEnum

from compliance.checks.history import Scope, Window


class Measure(StrEnum):
    """What is measured; the payment itself is part of it, unless it says otherwise."""

    # Payments in any currency.
    COUNT = "COUNT"
    # Their sum in the payment's currency, in percent of its review limit: velocity of money.
    AMOUNT = "AMOUNT"
    # The same, where it is the sum of linked payments that matters.
    CUMULATIVE_AMOUNT = "CUMULATIVE_AMOUNT"
    # Payments just under the review limit, of which this one has to be one.
    NEAR_LIMIT_COUNT = "NEAR_LIMIT_COUNT"
    # Whole days since the payment before; nothing without one.
    DORMANT_DAYS = "DORMANT_DAYS"
    # The amount in percent of the average of those before in the same currency.
    AVERAGE_PERCENT = "AVERAGE_PERCENT"
    # Customers that a card paid for.
    CUSTOMERS = "CUSTOMERS"


@dataclass(frozen=True)
class HistoryLimit:
    """What is more than `over` has the outcome: a word of Verdict, ALLOW for what is only noted.

    `at_least` is how many payments there have to be before of AVERAGE_PERCENT, and the percentage
    of the review limit that the amount has to reach of DORMANT_DAYS. It is 0 for all others, and so
    is `window` empty for DORMANT_DAYS.
    """

    measure: Measure
    scope: Scope
    over: int
    outcome: str
    window: str = ""
    at_least: int = 0

    @property
    def name(self) -> str:
        """What is measured, for operators: "COUNT CUSTOMER 1h"."""
        return " ".join(word for word in (self.measure, self.scope, self.window) if word)


def _limits(
    measure: Measure, scope: Scope, *over: tuple[str, int], outcome: str = "REVIEW"
) -> tuple[HistoryLimit, ...]:
    return tuple(HistoryLimit(measure, scope, most, outcome, window) for window, most in over)


_CUSTOMER, _MERCHANT, _CARD = Scope.CUSTOMER, Scope.MERCHANT, Scope.CARD
_HOUR, _DAY, _WEEK, _MONTH = Window

# The numbers are ours. What they look for is what the industry looks for: cards that are tried out
# (https://docs.stripe.com/disputes/prevention/card-testing), transactions split to stay under a
# threshold (31 U.S.C. 5324), and linked ones that pass it together (Regulation (EU) 2024/1624,
# article 19). What is usual for a merchant differs too much for a number that stops it: it is only
# noted.
BUILT_IN_HISTORY_LIMITS: tuple[HistoryLimit, ...] = (
    *_limits(Measure.COUNT, _CUSTOMER, (_HOUR, 30), (_DAY, 100)),
    *_limits(Measure.COUNT, _CARD, (_HOUR, 20), (_DAY, 60)),
    *_limits(Measure.COUNT, _MERCHANT, (_HOUR, 10_000), outcome="ALLOW"),
    *_limits(Measure.AMOUNT, _CUSTOMER, (_DAY, 200)),
    *_limits(Measure.AMOUNT, _CARD, (_DAY, 200)),
    *_limits(Measure.AMOUNT, _MERCHANT, (_DAY, 10_000), outcome="ALLOW"),
    *_limits(Measure.CUMULATIVE_AMOUNT, _CUSTOMER, (_MONTH, 500)),
    *_limits(Measure.CUMULATIVE_AMOUNT, _CARD, (_MONTH, 500)),
    *_limits(Measure.NEAR_LIMIT_COUNT, _CUSTOMER, (_WEEK, 2)),
    *_limits(Measure.NEAR_LIMIT_COUNT, _CARD, (_WEEK, 2)),
    *_limits(Measure.CUSTOMERS, _CARD, (_WEEK, 4)),
    HistoryLimit(Measure.DORMANT_DAYS, _CUSTOMER, 180, "REVIEW", at_least=20),
    HistoryLimit(Measure.DORMANT_DAYS, _MERCHANT, 180, "REVIEW", at_least=20),
    HistoryLimit(Measure.AVERAGE_PERCENT, _CUSTOMER, 1_000, "ALLOW", _MONTH, at_least=5),
)
# From so much of a currency's review limit on an amount is just under it. Ours.
BUILT_IN_NEAR_LIMIT_PERCENT = 85
