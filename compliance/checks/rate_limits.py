"""Limits on how often payments of a merchant are disputed and refunded: the policy's data. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from compliance.checks.rates import RateWindow


class RateMeasure(StrEnum):
    """What is measured, in basis points."""

    # Disputes that were opened, of payments that succeeded: by number, as card networks do.
    CHARGEBACKS = "CHARGEBACKS"
    # Refunds, of payments that succeeded: by number.
    REFUNDS = "REFUNDS"
    # What was refunded, of what was captured, in the payment's currency.
    REFUNDED_AMOUNT = "REFUNDED_AMOUNT"


@dataclass(frozen=True)
class RateLimit:
    """More than `over_bp` basis points have the outcome: a word of Verdict, ALLOW for what is only
    noted. Nothing is judged before so many payments of the window have succeeded as `at_least`."""

    measure: RateMeasure
    window: str
    over_bp: int
    at_least: int
    outcome: str

    @property
    def name(self) -> str:
        """What is measured, for operators: "CHARGEBACKS 30d"."""
        return f"{self.measure} {self.window}"


_MONTH, _QUARTER = RateWindow.MONTH, RateWindow.QUARTER

# The numbers are ours, and notes: how much is usual differs too much between merchants for a number
# that stops all payments of one on the day a release comes. Programmes begin at 150 basis points:
# Visa's for merchants, VAMP, outside of the Middle East and North Africa since April 2026, fraud
# reports included and from 1,500 of both on
# (https://support.checkout.com/hc/en-us/articles/23330844282514); Mastercard's, ECP, from 100
# chargebacks a month on, of the payments of the month before
# (https://developer.paypal.com/braintree/articles/risk-and-security/card-brand-monitoring-programs/mastercard-programs/excessive-chargeback-program).
# Both look at one network's payments in a calendar month; these figures are of all networks.
BUILT_IN_RATE_LIMITS: tuple[RateLimit, ...] = (
    RateLimit(RateMeasure.CHARGEBACKS, _MONTH, 75, 200, "ALLOW"),
    RateLimit(RateMeasure.CHARGEBACKS, _QUARTER, 75, 200, "ALLOW"),
    RateLimit(RateMeasure.REFUNDS, _MONTH, 2_000, 200, "ALLOW"),
    RateLimit(RateMeasure.REFUNDED_AMOUNT, _MONTH, 2_000, 200, "ALLOW"),
)
