"""What the rules go by besides the facts: limits, ages, countries. Data, so that it has versions.

The built-in policy is in force until policies can be published.
"""

from dataclasses import dataclass
from datetime import timedelta

# Countries under comprehensive US embargo, or that Stripe names as unsupported for that reason:
# https://ofac.treasury.gov/sanctions-programs-and-country-information
EMBARGOED = ("CU", "IR", "KP", "SY")


@dataclass(frozen=True)
class CurrencyLimits:
    """Limits of one payment in minor units; each is the largest amount that still passes."""

    currency_code: str
    review_over_minor: int
    deny_over_minor: int
    guest_review_over_minor: int


@dataclass(frozen=True)
class Policy:
    """One version of the policy."""

    version: str
    prohibited_country_codes: tuple[str, ...]
    limits: tuple[CurrencyLimits, ...]
    snapshot_max_age: timedelta
    list_warn_age: timedelta
    list_max_age: timedelta
    requirement_notice: timedelta
    match_threshold: float

    def limits_of(self, currency_code: str) -> CurrencyLimits | None:
        """The limits of a currency; None if it has none."""
        for limits in self.limits:
            if limits.currency_code == currency_code:
                return limits
        return None


def _limits(minor_units_per_euro: int, *currency_codes: str) -> tuple[CurrencyLimits, ...]:
    """About 10,000 euros for review, 100,000 for denial, 1,000 for guests.

    `minor_units_per_euro` is a round number near the rate, so that limits are round, too.
    """
    return tuple(
        CurrencyLimits(
            currency_code=code,
            review_over_minor=10_000 * minor_units_per_euro,
            deny_over_minor=100_000 * minor_units_per_euro,
            guest_review_over_minor=1_000 * minor_units_per_euro,
        )
        for code in currency_codes
    )


BUILT_IN = Policy(
    version="built-in-1",
    prohibited_country_codes=EMBARGOED,
    limits=(
        *_limits(100, "AUD", "CAD", "CHF", "EUR", "GBP", "NZD", "SGD", "USD"),
        *_limits(500, "AED", "BRL", "MYR", "PLN", "RON"),
        *_limits(1_000, "CNY", "DKK", "HKD", "NOK", "SEK"),
        *_limits(2_000, "CZK", "MXN", "ZAR"),
        *_limits(5_000, "THB", "TRY"),
        *_limits(10_000, "INR"),
        *_limits(40_000, "HUF"),
        # Without minor units.
        *_limits(150, "JPY"),
        *_limits(1_500, "KRW"),
        *_limits(25_000, "VND"),
        # With three digits of minor units.
        *_limits(300, "BHD", "KWD"),
        *_limits(3_000, "TND"),
    ),
    snapshot_max_age=timedelta(minutes=15),
    list_warn_age=timedelta(hours=24),
    list_max_age=timedelta(hours=48),
    requirement_notice=timedelta(days=14),
    match_threshold=0.85,
)
