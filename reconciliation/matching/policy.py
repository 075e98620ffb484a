"""How long what is missing may be missing: read from a file, checked, and used by the rules."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from reconciliation.matching.calendars import Calendar, Calendars

BUNDLED_POLICY = Path(__file__).parent.parent / "data" / "breaks.toml"
MAX_AGE_DAYS = 366
MAX_ACTION_CHARACTERS = 200
MAX_WINDOW_DAYS = 31

_AGE = re.compile(r"(\d{1,4}) (min|h|d|bd)")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class PolicyError(ValueError):
    """A policy cannot be used; the message names the file, the place and what is wrong."""


class BreakKind(StrEnum):
    """What is wrong."""

    LEDGER_MISSING = "LEDGER_MISSING"
    STRIPE_MISSING = "STRIPE_MISSING"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    UNEXPLAINED = "UNEXPLAINED"
    CONTENT_UNKNOWN = "CONTENT_UNKNOWN"
    CONTENT_SUM = "CONTENT_SUM"
    CONTENT_LATE = "CONTENT_LATE"
    PAYOUT_NOT_IN_BANK = "PAYOUT_NOT_IN_BANK"
    BANK_UNEXPECTED = "BANK_UNEXPECTED"
    BANK_AMOUNT = "BANK_AMOUNT"
    DEBIT_UNEXPECTED = "DEBIT_UNEXPECTED"
    AMBIGUOUS = "AMBIGUOUS"
    RETURNED = "RETURNED"
    STATEMENT_GAP = "STATEMENT_GAP"
    STATEMENT_OVERLAP = "STATEMENT_OVERLAP"
    STATEMENT_DUPLICATE = "STATEMENT_DUPLICATE"
    STATEMENT_BALANCE = "STATEMENT_BALANCE"
    FEED_STALE = "FEED_STALE"
    LATE_ACTIVITY = "LATE_ACTIVITY"
    BALANCE_DRIFT = "BALANCE_DRIFT"
    REPORT_DIFFERS = "REPORT_DIFFERS"
    BANK_BALANCE_DIFFERS = "BANK_BALANCE_DIFFERS"
    FEE_VARIANCE = "FEE_VARIANCE"


@dataclass(frozen=True)
class Age:
    """A time after which something is late: a span, or business days, which end with the day."""

    span: timedelta = timedelta(0)
    business_days: int = 0

    def after(self, since: datetime, calendar: Calendar) -> datetime:
        """When that is over."""
        if not self.business_days:
            return since + self.span
        day = calendar.add(since.astimezone(UTC).date(), self.business_days)
        return datetime.combine(day + timedelta(days=1), time(), UTC)


@dataclass(frozen=True)
class Ages:
    """When a difference of one kind is a break, and when it is overdue; what to do about it."""

    due: Age
    overdue: Age
    action: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long nothing may be heard of a source before FEED_STALE; overdue after twice as long."""

    answer: timedelta
    """Of a feed that items come from: that it is open."""
    sweep: timedelta
    """That the gateway has swept the balance of a corridor."""
    report: timedelta
    """After a day's end, until a report of it can be read."""


@dataclass(frozen=True)
class Policy:
    """All of it, in one version."""

    version: str
    before_days: int
    after_business_days: int
    kinds: Mapping[BreakKind, Ages]
    calendars: Calendars
    patience: Patience

    def bank_window(self, corridor: str, arrival: date) -> tuple[date, date]:
        """The first and the last day on which a payout's line may be booked."""
        last = self.calendars.of(corridor).add(arrival, self.after_business_days)
        return arrival - timedelta(days=self.before_days), last


def read_policy(calendars: Calendars, path: Path = BUNDLED_POLICY) -> Policy:
    """The policy of a file. Raises `PolicyError`."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PolicyError(f"{path.name}: is no TOML: {error}") from error
    _exactly(path.name, given, {"version", "bank_window", "patience", "kinds"})
    window = _exactly(
        f"{path.name} [bank_window]", given["bank_window"], {"before_days", "after_business_days"}
    )
    for name, value in window.items():
        if type(value) is not int or not 0 <= value <= MAX_WINDOW_DAYS:
            raise PolicyError(f"{path.name} {name}: is not 0 to {MAX_WINDOW_DAYS}")
    if not isinstance(given["version"], str) or not given["version"]:
        raise PolicyError(f"{path.name} version: is not a text")
    kinds = _exactly(f"{path.name} [kinds]", given["kinds"], set(BreakKind))
    return Policy(
        version=given["version"],
        before_days=window["before_days"],
        after_business_days=window["after_business_days"],
        kinds={
            BreakKind(name): _ages(f"{path.name} [kinds.{name}]", table)
            for name, table in kinds.items()
        },
        calendars=calendars,
        patience=_patience(f"{path.name} [patience]", given["patience"]),
    )


def _patience(where: str, given: Any) -> Patience:
    table = _exactly(where, given, {"answer", "sweep", "report"})
    ages = {name: _age(f"{where} {name}", value) for name, value in table.items()}
    for name, age in ages.items():
        if not age.span:
            raise PolicyError(f"{where} {name}: is not a number of min, h or d")
    return Patience(**{name: age.span for name, age in ages.items()})


def _ages(where: str, table: Any) -> Ages:
    _exactly(where, table, {"due", "overdue", "action"})
    action = table["action"]
    if not isinstance(action, str) or not 0 < len(action) <= MAX_ACTION_CHARACTERS:
        raise PolicyError(f"{where} action: is not of 1 to {MAX_ACTION_CHARACTERS} characters")
    due, overdue = _age(f"{where} due", table["due"]), _age(f"{where} overdue", table["overdue"])
    if due.business_days and not overdue.business_days:
        raise PolicyError(f"{where}: due counts business days, and overdue does not")
    if overdue.business_days <= due.business_days and overdue.span <= due.span:
        raise PolicyError(f"{where}: overdue is not after due")
    return Ages(due, overdue, action)


def _age(where: str, given: Any) -> Age:
    if given == "now":
        return Age()
    read = _AGE.fullmatch(given) if isinstance(given, str) else None
    if read is None:
        raise PolicyError(f'{where}: is not "now" or a number of min, h, d or bd')
    number, unit = int(read[1]), read[2]
    if unit == "bd":
        if not 0 < number <= MAX_AGE_DAYS:
            raise PolicyError(f"{where}: is not 1 to {MAX_AGE_DAYS} bd")
        return Age(business_days=number)
    age = number * _UNITS[unit]
    if not timedelta(0) < age <= timedelta(days=MAX_AGE_DAYS):
        raise PolicyError(f"{where}: is not up to {MAX_AGE_DAYS} d")
    return Age(span=age)


def _exactly(where: str, table: Any, names: set[Any]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise PolicyError(f"{where}: is not a table")
    if unknown := sorted(set(table) - names):
        raise PolicyError(f"{where}: does not know {', '.join(unknown)}")
    if missing := sorted(names - set(table)):
        raise PolicyError(f"{where}: lacks {', '.join(missing)}")
    return table
