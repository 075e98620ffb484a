"""The currencies of the engine: ISO 4217, those in force and those that were withdrawn.

ISO's own list forgets: ANG, BGN, CUC and ZWL left it within eighteen months. Books, open payments
and imports do not, so this list, money/currencies.tsv, only grows, and nothing depends on how new
a library is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LIST = Path(__file__).parent / "currencies.tsv"
_NO_MINOR_UNIT = "-"


@dataclass(frozen=True, slots=True)
class Currency:
    """A code of ISO 4217. `exponent` counts the decimal places of its minor unit, None for gold
    and other codes that are no money; `withdrawn` is the month (2026-01), empty while in force."""

    code: str
    exponent: int | None
    withdrawn: str = ""


def read_list(text: str) -> Mapping[str, Currency]:
    """The currencies of a list by code. Raises ValueError for a row that cannot be read, or for a
    code that is there twice."""
    currencies: dict[str, Currency] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        code, exponent, *withdrawn = line.split("\t")
        if code in currencies or len(withdrawn) > 1:
            raise ValueError(f"not a row of the list of currencies: {line!r}")
        places = None if exponent == _NO_MINOR_UNIT else int(exponent)
        currencies[code] = Currency(code, places, *withdrawn)
    return currencies


CURRENCIES = read_list(_LIST.read_text(encoding="utf-8"))
# Decimal places by code, of what is money: 2 for EUR, 0 for JPY, 3 for KWD.
EXPONENTS: Mapping[str, int] = {
    code: currency.exponent
    for code, currency in CURRENCIES.items()
    if currency.exponent is not None
}


def lost(before: Mapping[str, Currency], after: Mapping[str, Currency]) -> list[str]:
    """What a list does not keep of the one before it: sentences, in the order of the codes.

    Nothing may be removed, counted otherwise or brought back without its decimals.
    """
    problems = []
    for code, currency in sorted(before.items()):
        kept = after.get(code)
        if kept is None:
            problems.append(f"{code} is gone: it has to stay, with its month of withdrawal")
        elif kept.exponent != currency.exponent:
            problems.append(
                f"{code} has {kept.exponent} decimal places instead of {currency.exponent}"
            )
    return problems
