"""ISO 4217 currencies and the exponents of their minor units."""

from iso4217 import Currency

# Codes without a minor unit (gold, testing, "no currency") are no money that we keep.
EXPONENTS = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}


def exponent(code: str) -> int:
    """Decimal places of the currency's minor unit: 2 for EUR, 0 for JPY, 3 for KWD."""
    return EXPONENTS[code]


def currency_problem(code: str) -> str | None:
    """What is wrong with a currency code; None when nothing is."""
    if not code:
        return "is required"
    return None if code in EXPONENTS else "is no ISO 4217 currency"
