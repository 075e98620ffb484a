"""Stripe's processing fee at its published standard rates for domestic cards.

Source: https://stripe.com/pricing and its pages per country, one row for each country's currency.
Surcharges for foreign cards and for conversion are not modelled: each currency settles in itself.
"""

from dataclasses import dataclass

BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class FeeRate:
    """A share in basis points plus a fixed part in minor units."""

    basis_points: int
    fixed: int


FEE_RATES: dict[str, FeeRate] = {
    "usd": FeeRate(290, 30),
    "cad": FeeRate(290, 30),
    "eur": FeeRate(150, 25),
    "gbp": FeeRate(150, 20),
    "aud": FeeRate(170, 30),
    "jpy": FeeRate(360, 0),
}
# The twin's own choice for every other currency.
OTHER_CURRENCIES = FeeRate(290, 30)

# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts; 50 where Stripe names none.
MINIMUM_AMOUNTS: dict[str, int] = {
    "usd": 50,
    "aed": 200,
    "aud": 50,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
}
DEFAULT_MINIMUM_AMOUNT = 50
MAXIMUM_AMOUNT = 99_999_999


def processing_fee(amount: int, currency: str) -> int:
    """The fee in minor units for a captured amount, its share rounded half up."""
    rate = FEE_RATES.get(currency, OTHER_CURRENCIES)
    share = (2 * amount * rate.basis_points + BASIS_POINTS) // (2 * BASIS_POINTS)
    return share + rate.fixed


def minimum_amount(currency: str) -> int:
    """The smallest amount that Stripe charges in this currency."""
    return MINIMUM_AMOUNTS.get(currency, DEFAULT_MINIMUM_AMOUNT)
