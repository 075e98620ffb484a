"""Amounts at the border to Stripe: which ones it takes, and in which units it counts them.

Everywhere in the engine an amount counts the minor units of ISO 4217. Stripe counts most
currencies so, too, but not all: 5 ISK are 5 minor units and Stripe's `amount=500`. What goes to
Stripe passes `to_stripe`, what comes from there `from_stripe`; nothing else knows of Stripe's
units. The rules are data, with their source: gateway/data/currencies.toml.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Any

from money.currencies import EXPONENTS

_DATA = Path(__file__).parent / "data" / "currencies.toml"
_EVERY = "*"


class PartOfMinorUnitError(ValueError):
    """An amount of Stripe's that is no whole number of minor units; it is never rounded."""


@dataclass(frozen=True, slots=True)
class StripeCurrency:
    """How Stripe takes a currency. Amounts are minor units of ISO 4217.

    One minor unit is `numerator / denominator` of Stripe's units, and one of both is 1. `largest`
    is the largest amount of a charge, whatever it is paid with, `largest_other` of one that is not
    paid with a card.
    """

    numerator: int
    denominator: int
    largest: int
    largest_other: int
    charge_multiple: int
    payout_multiple: int


def read_currencies(path: Path, exponents: Mapping[str, int]) -> Mapping[str, StripeCurrency]:
    """The rules for each of these currencies. Raises KeyError for a row that lacks a field."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    decimals = {row["currency"]: row["decimals"] for row in data["decimals"]}
    return {
        code: _rules(
            decimals.get(code, exponent) - exponent,
            *_largest(data, code),
            _multiple(data, "charges", code),
            _multiple(data, "payouts", code),
        )
        for code, exponent in exponents.items()
    }


def _largest(data: Mapping[str, Any], code: str) -> tuple[int, int]:
    """The largest charge of all payment methods, and of those that are not cards; a row of the
    currency itself goes first."""
    digits: dict[str, int] = {}
    for currency in (_EVERY, code):
        for row in data["largest_charge"]:
            if row["currency"] == currency:
                digits[row["payment_methods"]] = row["digits"]
    return 10 ** max(digits.values()) - 1, 10 ** digits["other"] - 1


def _multiple(data: Mapping[str, Any], what: str, code: str) -> int:
    for row in data["multiples"]:
        if row["what"] == what and code in row["currencies"]:
            return int(row["of"])
    return 1


def _rules(
    shift: int, largest: int, largest_other: int, charge_multiple: int, payout_multiple: int
) -> StripeCurrency:
    """The rules of a currency that has `shift` more decimals at Stripe than in ISO 4217."""
    numerator: int = 10 ** max(shift, 0)
    denominator: int = 10 ** max(-shift, 0)

    def in_minor_units(multiple: int) -> int:
        # Of the smallest amounts that are whole in both units.
        return lcm(multiple, numerator) // numerator * denominator

    return StripeCurrency(
        numerator,
        denominator,
        largest // numerator * denominator,
        largest_other // numerator * denominator,
        in_minor_units(charge_multiple),
        in_minor_units(payout_multiple),
    )


# Withdrawn currencies are among them: what was paid in one can still be refunded.
_CURRENCIES = read_currencies(_DATA, EXPONENTS)
# What no charge is larger than, in whatever currency.
MAX_MINOR_UNITS = max(rules.largest for rules in _CURRENCIES.values())


def to_stripe(currency_code: str, minor_units: int) -> int:
    """The amount as Stripe counts it. Raises ValueError for one that Stripe cannot count."""
    rules = _CURRENCIES.get(currency_code.upper())
    if rules is None:
        return minor_units
    amount, rest = divmod(minor_units * rules.numerator, rules.denominator)
    if rest:
        raise ValueError(f"{minor_units} {currency_code} is no whole amount at Stripe")
    return amount


def from_stripe(currency_code: str, amount: int) -> int:
    """An amount of Stripe's in minor units, its sign kept; `currency_code` in Stripe's lower case
    or ours. Raises PartOfMinorUnitError."""
    rules = _CURRENCIES.get(currency_code.upper())
    if rules is None:
        return amount
    minor_units, rest = divmod(amount * rules.denominator, rules.numerator)
    if rest:
        raise PartOfMinorUnitError(f"{amount} {currency_code} is no whole number of minor units")
    return minor_units


def rounded_down(currency_code: str, minor_units: int) -> int:
    """The largest amount that is not more, and that Stripe takes of the currency."""
    rules = _CURRENCIES.get(currency_code)
    multiple = 1 if rules is None else rules.charge_multiple
    return minor_units - minor_units % multiple


def problem_with_currency(currency_code: str, minor_units: int) -> str | None:
    """What is wrong with an amount's currency; None when nothing is."""
    rules = _CURRENCIES.get(currency_code)
    if rules is None:
        return "is not a currency that can be charged"
    return _not_a_multiple(minor_units, rules.charge_multiple)


def problem_with_size(currency_code: str, minor_units: int) -> str | None:
    """Why an amount is more than Stripe charges in its currency; None when it is not.

    Where the currency is unknown, so that an answer names all that is wrong: in any currency.
    """
    rules = _CURRENCIES.get(currency_code)
    largest = MAX_MINOR_UNITS if rules is None else rules.largest
    return None if minor_units <= largest else f"is greater than {largest}"


def problem_with_size_of_other(currency_code: str, minor_units: int) -> str | None:
    """Why an amount is more than Stripe charges with anything but a card; None when it is not."""
    rules = _CURRENCIES.get(currency_code)
    if rules is None or minor_units <= rules.largest_other:
        return None
    return f"is greater than {rules.largest_other}, the most that is not charged to a card"


def problem_with_payout(currency_code: str, minor_units: int) -> str | None:
    """What Stripe asks of a payout's amount, beside what it asks of every amount; None if it is so.

    Stripe states no largest payout: the balance is the limit.
    """
    rules = _CURRENCIES.get(currency_code)
    return None if rules is None else _not_a_multiple(minor_units, rules.payout_multiple)


def _not_a_multiple(minor_units: int, multiple: int) -> str | None:
    if minor_units % multiple == 0:
        return None
    zeros = str(multiple).removeprefix("1")
    return f"has amounts of fewer decimals at Stripe: minor_units must end in {zeros}"
