"""What Stripe's fees should be: the operator's prices, read from a file, checked, and applied."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from money.currencies import CURRENCIES
from reconciliation.matching.item import MAX_KEY_BYTES

MAX_PRICES = 1_000
MAX_NAMES = 100
MAX_NAME_CHARACTERS = 100
MAX_FIXED_MINOR = 10**9
# Stripe does not say how it rounds.
DEFAULT_TOLERANCE_MINOR = 1

_PERCENT = re.compile(r"\d{1,2}(\.\d{1,6})?")
_REQUIRED = frozenset({"name", "currency", "categories", "percent", "fixed"})
_OPTIONAL = frozenset({"corridors", "tolerance", "from", "until", "converted"})


class FeeScheduleError(ValueError):
    """A schedule cannot be used; the message names the file, the place and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What Stripe took a fee of: one balance transaction."""

    corridor: str
    currency: str
    category: str
    """Stripe's reporting category."""
    day: date
    """Its book day."""
    amount_minor: int
    """Before fees; negative for money that went out."""
    fee_minor: int
    """What Stripe took for itself: taxes and the fees of others are not in it."""
    is_converted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One price of the contract: a part of the amount and something fixed, in minor units."""

    name: str
    currency: str
    categories: frozenset[str]
    percent: Decimal
    fixed_minor: int
    tolerance_minor: int = DEFAULT_TOLERANCE_MINOR
    corridors: frozenset[str] = frozenset()
    """None: all."""
    first_day: date = date.min
    last_day: date = date.max
    converted: bool | None = None
    """Whether it is only of what Stripe has converted, or only of what it has not."""

    def is_of(self, charged: Charged) -> bool:
        """Whether it may be the price of that."""
        return (
            charged.currency == self.currency
            and charged.category in self.categories
            and (not self.corridors or charged.corridor in self.corridors)
            and self.first_day <= charged.day <= self.last_day
            and self.converted in (None, charged.is_converted)
        )

    def fee_minor(self, amount_minor: int) -> int:
        """The fee for an amount, halves up. What goes out costs like what comes in."""
        part = abs(amount_minor) * self.percent / 100
        return int(part.quantize(Decimal(1), ROUND_HALF_UP)) + self.fixed_minor


@dataclass(frozen=True, slots=True)
class Expected:
    """What a fee should be: of the prices that it may have, the nearest."""

    price: str
    fee_minor: int
    is_right: bool
    """Whether the fee is that, within the price's tolerance."""


@dataclass(frozen=True)
class FeeSchedule:
    """All prices, and by what they are told from those of another file."""

    prices: Sequence[Price] = ()
    digest: str = ""

    def expected(self, charged: Charged) -> Expected | None:
        """What the fee should be; None where no price is stated.

        A balance transaction does not say of what kind a card was: where several prices are of one
        currency and category, a fee is right by any of them.
        """
        found = []
        for price in self.prices:
            if price.is_of(charged):
                fee = price.fee_minor(charged.amount_minor)
                far = abs(charged.fee_minor - fee)
                is_right = far <= price.tolerance_minor
                found.append((not is_right, far, price.name, Expected(price.name, fee, is_right)))
        return min(found, key=lambda each: each[:3])[3] if found else None


NO_SCHEDULE = FeeSchedule()


def read_schedule(path: Path | None) -> FeeSchedule:
    """The prices of a file, in TOML; none without one. Raises `FeeScheduleError`."""
    if path is None:
        return NO_SCHEDULE
    try:
        content = path.read_bytes()
        given = tomllib.loads(content.decode())
    except (OSError, ValueError) as error:
        raise FeeScheduleError(f"{path.name}: cannot be read as TOML: {error}") from error
    _names(path.name, given, frozenset({"price"}), frozenset())
    rows = given["price"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_PRICES:
        raise FeeScheduleError(f"{path.name}: has not 1 to {MAX_PRICES} [[price]]")
    prices = [_price(f"{path.name} [[price]] {number}", row) for number, row in enumerate(rows, 1)]
    if len({price.name for price in prices}) < len(prices):
        raise FeeScheduleError(f"{path.name}: two prices have one name")
    return FeeSchedule(tuple(prices), sha256(content).hexdigest())


def _price(where: str, row: Any) -> Price:
    _names(where, row, _REQUIRED, _OPTIONAL)
    name = row["name"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise FeeScheduleError(f"{where} name: is not of 1 to {MAX_NAME_CHARACTERS} characters")
    if row["currency"] not in CURRENCIES:
        raise FeeScheduleError(f"{where} currency: is none")
    percent = row["percent"]
    if not isinstance(percent, str) or not _PERCENT.fullmatch(percent):
        raise FeeScheduleError(f'{where} percent: is not a text such as "1.5"')
    converted = row.get("converted")
    if converted is not None and type(converted) is not bool:
        raise FeeScheduleError(f"{where} converted: is not true or false")
    first, last = _day(where, row, "from", date.min), _day(where, row, "until", date.max)
    if last < first:
        raise FeeScheduleError(f"{where} until: is before from")
    return Price(
        name=name,
        currency=row["currency"],
        categories=_texts(where, "categories", row["categories"]),
        percent=Decimal(percent),
        fixed_minor=_minor(where, row, "fixed", 0),
        tolerance_minor=_minor(where, row, "tolerance", DEFAULT_TOLERANCE_MINOR),
        corridors=_texts(where, "corridors", row["corridors"])
        if "corridors" in row
        else frozenset(),
        first_day=first,
        last_day=last,
        converted=converted,
    )


def _names(where: str, table: Any, required: frozenset[str], optional: frozenset[str]) -> None:
    if not isinstance(table, dict):
        raise FeeScheduleError(f"{where}: is not a table")
    if unknown := sorted(set(table) - required - optional):
        raise FeeScheduleError(f"{where}: does not know {', '.join(unknown)}")
    if missing := sorted(required - set(table)):
        raise FeeScheduleError(f"{where}: lacks {', '.join(missing)}")


def _texts(where: str, name: str, given: Any) -> frozenset[str]:
    if (
        not isinstance(given, list)
        or not 0 < len(given) <= MAX_NAMES
        or not all(isinstance(each, str) and 0 < len(each) <= MAX_KEY_BYTES for each in given)
    ):
        raise FeeScheduleError(f"{where} {name}: is not a list of 1 to {MAX_NAMES} texts")
    return frozenset(given)


def _minor(where: str, row: Any, name: str, default: int) -> int:
    given = row.get(name, default)
    if type(given) is not int or not 0 <= given <= MAX_FIXED_MINOR:
        raise FeeScheduleError(f"{where} {name}: is not 0 to {MAX_FIXED_MINOR} minor units")
    return given


def _day(where: str, row: Any, name: str, default: date) -> date:
    given = row.get(name, default)
    if type(given) is not date:
        raise FeeScheduleError(f"{where} {name}: is not a day such as 2026-01-31")
    return given
