"""Which reports are had made, and what their rows say: pure rules.

Days are of UTC, as Stripe's are of most accounts, or of the time zone that is set for a corridor:
one on which clocks change has 23 or 25 hours. Columns are found by their headings
(https://docs.stripe.com/reports/report-types), amounts are decimals of major units there and exact
minor units here.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from gateway.ids import derived_id
from money.currencies import EXPONENTS

DAY = timedelta(days=1)
MAX_LINE_CHARACTERS = 64 * 1024
MAX_AMOUNT_CHARACTERS = 24
MAX_MINOR_UNITS = 2**63 - 1
_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


class ReportKind(StrEnum):
    """What a report is of."""

    ACTIVITY = "ACTIVITY"
    """All that changed the balance but payouts, by balance transaction."""
    PAYOUTS = "PAYOUTS"
    """Payouts and those that came back, by balance transaction."""
    SUMMARY = "SUMMARY"
    """The balance before, what changed it, and the balance after, by currency."""
    PAYOUT_CONTENTS = "PAYOUT_CONTENTS"
    """What the automatic payouts contain that took effect, by balance transaction."""
    ENDING_BALANCE = "ENDING_BALANCE"
    """What the balance at the end is made of, by balance transaction: what no automatic payout
    contains that took effect before."""


class ReportState(StrEnum):
    """How far it is."""

    WANTED = "WANTED"
    """Stripe is to be asked for it, again if it failed."""
    RUNNING = "RUNNING"
    READY = "READY"


class UnreadableReportError(ValueError):
    """A file that is no report of its kind. The text names line and column, and quotes nothing."""


# What Stripe is asked for; a summary has no columns to choose.
_MOVEMENT = (
    *("balance_transaction_id", "created_utc", "currency", "gross", "fee", "net"),
    *("reporting_category", "source_id", "automatic_payout_id"),
)
COLUMNS = {
    ReportKind.ACTIVITY: _MOVEMENT,
    ReportKind.PAYOUT_CONTENTS: _MOVEMENT,
    ReportKind.ENDING_BALANCE: _MOVEMENT,
    ReportKind.PAYOUTS: (
        *("balance_transaction_id", "effective_at_utc", "currency", "gross", "fee", "net"),
        *("reporting_category", "payout_id"),
    ),
    ReportKind.SUMMARY: ("category", "net_amount", "currency"),
}


class Day(NamedTuple):
    """A day, from its first moment to the first one after it, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report of a corridor and a day. `stripe_type` is Stripe's name of the type, with its
    version."""

    corridor: str
    kind: ReportKind
    stripe_type: str
    start: datetime
    end: datetime
    """The first moment that it is no longer of."""

    @property
    def id(self) -> str:
        """The same for the same report."""
        return derived_id("rep", self.corridor, self.kind, self.start.isoformat())

    def params(self) -> dict[str, object]:
        """What Stripe is asked for."""
        parameters: dict[str, object] = {"interval_end": int(self.end.timestamp())}
        if self.kind is not ReportKind.ENDING_BALANCE:
            parameters["interval_start"] = int(self.start.timestamp())
        if self.kind is not ReportKind.SUMMARY:
            parameters["columns"] = list(COLUMNS[self.kind])
        return {"report_type": self.stripe_type, "parameters": parameters}


def days_to_want(
    data_start: datetime,
    data_end: datetime,
    last_end: datetime | None,
    most_days: int,
    zone: tzinfo = UTC,
) -> list[Day]:
    """The days of a time zone that are whole in Stripe's data and come after the last one that was
    wanted, at most so many: at first the newest ones, then all in their order. Where the zone is
    another one since, the first of them begins at its next midnight."""
    if last_end is None:
        newest = _midnight(data_end.astimezone(zone).date() - most_days * DAY, zone)
        first = max(_next_midnight(data_start, zone), newest)
    else:
        first = _next_midnight(last_end, zone)
    days: list[Day] = []
    while len(days) < most_days:
        end = _midnight(first.astimezone(zone).date() + DAY, zone)
        if end > data_end:
            break
        days.append(Day(first, end))
        first = end
    return days


def _midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of a day; where clocks go forward at midnight that is one o'clock."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _next_midnight(moment: datetime, zone: tzinfo) -> datetime:
    day = moment.astimezone(zone).date()
    midnight = _midnight(day, zone)
    return midnight if midnight == moment else _midnight(day + DAY, zone)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A balance transaction as a report has it, or a figure of a summary, which has only a
    category, a currency and a net. Minor units of ISO 4217."""

    currency: str
    category: str
    net_minor: int
    balance_transaction_id: str = ""
    gross_minor: int = 0
    fee_minor: int = 0
    create_time: datetime | None = None
    source_id: str = ""
    stripe_payout_id: str = ""


def read_rows(lines: Iterable[str], kind: ReportKind) -> Iterator[ReportRow]:
    """The rows of a file. Raises UnreadableReportError at the first line that is none."""
    table = csv.reader(_checked(lines), strict=True)
    try:
        headings = next(table, [])
        at = {name: _column(headings, name) for name in COLUMNS[kind]}
        for cells in table:
            if len(cells) != len(headings):
                raise UnreadableReportError(f"line {table.line_num}: as many cells as headings")
            row = {name: cells[index].strip() for name, index in at.items()}
            try:
                yield _row(row, kind)
            except UnreadableReportError as error:
                raise UnreadableReportError(f"line {table.line_num}: {error}") from None
    except csv.Error:
        raise UnreadableReportError(f"line {table.line_num}: a row of CSV") from None


def _checked(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if len(line) > MAX_LINE_CHARACTERS:
            raise UnreadableReportError(f"a line of at most {MAX_LINE_CHARACTERS} characters")
        yield line


def _column(headings: list[str], name: str) -> int:
    if headings.count(name) != 1:
        raise UnreadableReportError(f"one column {name}")
    return headings.index(name)


def _row(cells: dict[str, str], kind: ReportKind) -> ReportRow:
    currency = cells["currency"].upper()
    if currency not in EXPONENTS:
        raise UnreadableReportError("currency: a code of ISO 4217")
    if kind is ReportKind.SUMMARY:
        net = minor_units(cells["net_amount"], currency, "net_amount")
        return ReportRow(currency, cells["category"], net)
    gross, fee, net = (minor_units(cells[name], currency, name) for name in ("gross", "fee", "net"))
    if not cells["balance_transaction_id"]:
        raise UnreadableReportError("balance_transaction_id: an id")
    is_payout = kind is ReportKind.PAYOUTS
    return ReportRow(
        currency,
        cells["reporting_category"],
        net,
        cells["balance_transaction_id"],
        gross,
        fee,
        _time(cells["effective_at_utc" if is_payout else "created_utc"]),
        cells["payout_id" if is_payout else "source_id"],
        cells["payout_id" if is_payout else "automatic_payout_id"],
    )


def minor_units(text: str, currency: str, column: str) -> int:
    """A decimal of major units in minor ones, exactly: zeros beyond the currency's places change
    nothing, other digits there are refused. Raises UnreadableReportError."""
    found = _AMOUNT.fullmatch(text)
    if found is None or len(text) > MAX_AMOUNT_CHARACTERS:
        raise UnreadableReportError(
            f"{column}: a decimal of at most {MAX_AMOUNT_CHARACTERS} characters"
        )
    sign, whole, fraction = found[1], found[2], found[3] or ""
    exponent = EXPONENTS[currency]
    kept, surplus = fraction[:exponent], fraction[exponent:]
    if surplus.strip("0"):
        raise UnreadableReportError(f"{column}: at most {exponent} decimals of {currency}")
    amount = int(whole + kept.ljust(exponent, "0"))
    if amount > MAX_MINOR_UNITS:
        raise UnreadableReportError(f"{column}: an amount within 64 bits")
    return -amount if sign else amount


def _time(text: str) -> datetime:
    try:
        if _TIME.fullmatch(text):
            return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise UnreadableReportError("created_utc: a time as 2026-11-30 12:00:00")
