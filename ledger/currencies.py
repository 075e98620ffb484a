"""Which currencies accounts may have, and the exponents of their minor units.

Withdrawn ones are among them: existing accounts keep their currency, and imports bring old books.
"""

# Codes without a minor unit (gold, testing, "no currency") are no money that we keep.
from money.currencies import EXPONENTS


def exponent(code: str) -> int:
    """Decimal places of the currency's minor unit: 2 for EUR, 0 for JPY, 3 for KWD."""
    return EXPONENTS[code]


def currency_problem(code: str) -> str | None:
    """What is wrong with a currency code; None when nothing is."""
    if not code:
        return "is required"
    return None if code in EXPONENTS else "is no ISO 4217 currency"
