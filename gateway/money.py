"""Currencies as the gateway takes them: ISO 4217, in Stripe's minor units.

https://docs.stripe.com/currencies
"""

from iso4217 import Currency

# Stripe's largest charge has eight digits.
MAX_MINOR_UNITS = 99_999_999
# Stripe counts these in other minor units than ISO 4217 does; an amount would be off by a hundred.
COUNTED_OTHERWISE = frozenset({"ISK", "MGA", "UGX"})
THREE_DECIMALS = 3

_EXPONENTS: dict[str, int] = {
    currency.code: currency.exponent
    for currency in Currency
    if currency.exponent is not None and currency.code not in COUNTED_OTHERWISE
}


def problem_with_currency(currency_code: str, minor_units: int) -> str | None:
    """What is wrong with an amount's currency; None when nothing is."""
    exponent = _EXPONENTS.get(currency_code)
    if exponent is None:
        return "is not a currency that can be charged"
    if exponent == THREE_DECIMALS and minor_units % 10:
        return "has amounts of two decimals only at Stripe: minor_units must end in 0"
    return None
