"""Amounts and dates of files, exactly: no float, no guess, no other digits than those of ASCII."""

import re
from datetime import date
from functools import lru_cache

from money.currencies import EXPONENTS
from reconciliation.statements.model import MAX_MINOR_UNITS
from reconciliation.statements.refusal import FieldError, Reason

# More than any of the formats has; keeps int() away from texts of a million digits.
MAX_DIGITS = 30
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_ISO_TIME = re.compile(r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_COMPACT_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_SHORT_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})")
# Years of two digits: SWIFT's rule, 80 and later are of the last century.
_CENTURY_TURNS_AT = 80


def exponent_of(currency: str, field: str) -> int:
    """Decimal places of a currency's minor unit. Raises FieldError for what is no money."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise FieldError(Reason.INVALID, field, "a currency of ISO 4217 was expected")
    return exponent


def minor_units(text: str, exponent: int, field: str, mark: str = ".") -> int:
    """An unsigned amount with a decimal mark, in minor units: "12.5" is 1250 with exponent 2.

    Zeros beyond the currency's decimals change nothing and are taken. Raises FieldError for
    anything but digits around at most one mark, for more decimals, and for what is too large.
    """
    whole, _, fraction = text.partition(mark)
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit() and whole) or len(digits) > MAX_DIGITS:
        raise FieldError(
            Reason.INVALID,
            field,
            f"an amount of digits with the decimal mark {mark!r} was expected",
        )
    kept, surplus = fraction[:exponent], fraction[exponent:]
    if surplus.strip("0"):
        raise FieldError(
            Reason.DECIMALS,
            field,
            f"at most {exponent} decimals were expected, as the currency has",
        )
    amount = int(whole + kept.ljust(exponent, "0"))
    if amount > MAX_MINOR_UNITS:
        raise FieldError(Reason.TOO_LARGE, field, "an amount within 64 bits was expected")
    return amount


def signed_minor_units(text: str, exponent: int, field: str, mark: str = ".") -> int:
    """The same with a sign in front that may be left out if it is a plus."""
    if text[:1] == "-":
        return -minor_units(text[1:], exponent, field, mark)
    return minor_units(text.removeprefix("+"), exponent, field, mark)


# A statement's entries have few days: each is read, and held, once.
@lru_cache(maxsize=4096)
def iso_date(text: str, field: str) -> date:
    """The day of `2026-11-30`."""
    return _date(_ISO_DATE.fullmatch(text), field, "a date as 2026-11-30")


def iso_day_of_time(text: str, field: str) -> date:
    """The day of `2026-11-30T08:15:00+01:00` at the bank, whatever its offset is."""
    if not _ISO_TIME.fullmatch(text, 10):
        raise FieldError(Reason.INVALID, field, "a time as 2026-11-30T08:15:00 was expected")
    return iso_date(text[:10], field)


def compact_date(text: str, field: str) -> date:
    """The day of `20261130`."""
    return _date(_COMPACT_DATE.fullmatch(text), field, "a date as 20261130")


def short_date(text: str, field: str) -> date:
    """The day of `261130`."""
    found = _SHORT_DATE.fullmatch(text)
    century = 0 if found is None else 1900 if int(found[1]) >= _CENTURY_TURNS_AT else 2000
    return _date(found, field, "a date as 261130", century)


def day_near(month_and_day: str, near: date, field: str) -> date:
    """The day of `1130` in the year that brings it nearest to another day."""
    candidates = []
    for year in (near.year - 1, near.year, near.year + 1):
        try:
            candidates.append(date(year, int(month_and_day[:2]), int(month_and_day[2:])))
        except ValueError:
            continue
    if not candidates:
        raise FieldError(Reason.INVALID, field, "a day as 1130 was expected")
    return min(candidates, key=lambda day: abs(day - near))


def _date(found: re.Match[str] | None, field: str, expected: str, century: int = 0) -> date:
    if found is not None:
        try:
            return date(century + int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            pass
    raise FieldError(Reason.INVALID, field, f"{expected} was expected")
