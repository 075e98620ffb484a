"""What the rules go by besides the facts: limits, ages, countries. Data, so that it has versions.

The built-in policy is in force until policies can be published.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance.checks.country_programmes import CountryProgramme, read_country_programmes
from compliance.checks.history_limits import (
    BUILT_IN_HISTORY_LIMITS,
    BUILT_IN_NEAR_LIMIT_PERCENT,
    HistoryLimit,
)
from compliance.checks.identity import VerificationRequirement
from compliance.checks.rate_limits import BUILT_IN_RATE_LIMITS, RateLimit
from compliance.checks.rates import RateFacts


@dataclass(frozen=True)
class CurrencyLimits:
    """Limits of one payment in minor units; each is the largest amount that still passes."""

    currency_code: str
    review_over_minor: int
    deny_over_minor: int
    guest_review_over_minor: int


@dataclass(frozen=True)
class PolicyRule:
    """A rule of the operator's: what `expression` (see `expressions`) is true of gets `verdict`,
    REVIEW or DENY."""

    name: str
    expression: str
    verdict: str


@dataclass(frozen=True)
class Policy:
    """One version of the policy.

    Countries under `country_programmes` are prohibited while one of theirs is in force, whatever
    `prohibited_country_codes` says; the others are prohibited at all times if they are in it.
    """

    version: str
    prohibited_country_codes: tuple[str, ...]
    limits: tuple[CurrencyLimits, ...]
    snapshot_max_age: timedelta
    list_warn_age: timedelta
    list_max_age: timedelta
    requirement_notice: timedelta
    match_threshold: float
    # Documents of built-in-2 and before have none.
    country_programmes: tuple[CountryProgramme, ...] = ()
    # Documents of built-in-3 and before have none.
    rules: tuple[PolicyRule, ...] = ()
    # Documents before built-in-4 have none. An amount is just under its currency's review limit
    # from `near_limit_percent` of it on.
    history_limits: tuple[HistoryLimit, ...] = ()
    near_limit_percent: int = 100
    # Documents before built-in-5 have none. Figures that are older than `rates_max_age`, or that
    # there are none of, lead to `unknown_rates_outcome`, a word of Verdict; empty for nothing.
    rate_limits: tuple[RateLimit, ...] = ()
    rates_max_age: timedelta | None = None
    unknown_rates_outcome: str = ""
    # The built-in policies have none.
    verification_requirements: tuple[VerificationRequirement, ...] = ()

    def prohibits(self, country_code: str, as_of: datetime) -> bool:
        """Whether nobody of this country takes part at that time."""
        programmes = [p for p in self.country_programmes if p.country_code == country_code]
        if programmes:
            return any(programme.is_in_force(as_of) for programme in programmes)
        return country_code in self.prohibited_country_codes

    def limits_of(self, currency_code: str) -> CurrencyLimits | None:
        """The limits of a currency; None if it has none."""
        for limits in self.limits:
            if limits.currency_code == currency_code:
                return limits
        return None

    def has_old_rates(self, rates: RateFacts, as_of: datetime) -> bool:
        """Whether the feed that the figures come from was not followed for too long."""
        return self.rates_max_age is not None and as_of - rates.follow_time > self.rates_max_age

    def is_near_limit(self, currency_code: str, amount_minor: int) -> bool:
        """Whether an amount is just under the review limit of its currency, or at it."""
        limits = self.limits_of(currency_code)
        if limits is None or amount_minor > limits.review_over_minor:
            return False
        return 100 * amount_minor >= self.near_limit_percent * limits.review_over_minor


def _limits(minor_units_per_euro: int, currency_codes: str) -> tuple[CurrencyLimits, ...]:
    """About 10,000 euros for review, 100,000 for denial, 1,000 for guests.

    `minor_units_per_euro` is a round number near the rate, so that limits are round, too;
    `currency_codes` have spaces between them.
    """
    return tuple(
        CurrencyLimits(
            currency_code=code,
            review_over_minor=10_000 * minor_units_per_euro,
            deny_over_minor=100_000 * minor_units_per_euro,
            guest_review_over_minor=1_000 * minor_units_per_euro,
        )
        for code in currency_codes.split()
    )


# Countries under comprehensive US embargo, now or once.
_PROGRAMMES = read_country_programmes()

BUILT_IN = Policy(
    version="built-in-5",
    prohibited_country_codes=tuple(sorted({item.country_code for item in _PROGRAMMES})),
    limits=(
        *_limits(100, "AUD BMD BSD CAD CHF EUR FKP GBP GIP KYD NZD PAB SGD SHP USD"),
        *_limits(200, "ANG AWG AZN BAM BBD BGN BND BZD FJD GEL TOP XCD"),
        *_limits(500, "AED BRL BYN ILS MYR PEN PGK PLN QAR RON SAR WST"),
        *_limits(1_000, "BOB CNY DKK GTQ HKD MAD MOP NOK SBD SEK TJS TTD"),
        *_limits(2_000, "BWP CZK HNL LSL MDL MVR MXN NAD SCR SLE SZL ZAR ZMW"),
        *_limits(5_000, "DOP EGP MKD MUR NIO PHP SRD THB TRY TWD UAH UYU"),
        *_limits(10_000, "AFN ALL BDT CVE GMD INR KGS MZN RSD RUB"),
        *_limits(20_000, "DZD ETB GYD HTG JMD KES LRD NPR YER"),
        *_limits(40_000, "HUF"),
        *_limits(50_000, "AMD CRC KZT LKR PKR SOS"),
        *_limits(100_000, "AOA"),
        *_limits(200_000, "ARS CDF MMK MWK NGN TZS"),
        *_limits(500_000, "COP KHR MGA MNT"),
        *_limits(1_000_000, "UZS"),
        *_limits(2_000_000, "IDR LAK"),
        *_limits(10_000_000, "LBP"),
        # Without minor units.
        *_limits(100, "VUV XPF"),
        *_limits(150, "JPY"),
        *_limits(200, "DJF ISK"),
        *_limits(500, "KMF XAF XOF"),
        *_limits(1_000, "CLP"),
        *_limits(1_500, "KRW"),
        *_limits(2_000, "RWF"),
        *_limits(5_000, "BIF UGX"),
        *_limits(10_000, "GNF PYG"),
        *_limits(25_000, "VND"),
        # With three digits of minor units.
        *_limits(300, "BHD KWD"),
        *_limits(500, "OMR"),
        *_limits(1_000, "JOD"),
        *_limits(3_000, "TND"),
    ),
    snapshot_max_age=timedelta(minutes=15),
    list_warn_age=timedelta(hours=24),
    list_max_age=timedelta(hours=48),
    requirement_notice=timedelta(days=14),
    match_threshold=0.85,
    country_programmes=_PROGRAMMES,
    history_limits=BUILT_IN_HISTORY_LIMITS,
    near_limit_percent=BUILT_IN_NEAR_LIMIT_PERCENT,
    rate_limits=BUILT_IN_RATE_LIMITS,
    rates_max_age=timedelta(hours=24),
)
