"""Where a report of Stripe's differs from what its API lists: pure rules.

A report of movements is compared row by row with the balance transactions of its day, a summary
with their sums and with the balance that follows from all that was fed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from reconciliation.conditions.condition import MAX_SAYS_CHARACTERS, Condition
from reconciliation.matching.breaks import amount_text
from reconciliation.matching.policy import BreakKind

MAX_NAMED = 3
# So long a report that differs is looked at again, as the other side may catch up.
FIRST_PAUSE, LAST_PAUSE = timedelta(hours=1), timedelta(days=1)
LOOKED_AT_FOR = timedelta(days=30)


class Kind(StrEnum):
    """What a report is of, as the gateway names it."""

    ACTIVITY = "ACTIVITY"
    PAYOUTS = "PAYOUTS"
    SUMMARY = "SUMMARY"
    PAYOUT_CONTENTS = "PAYOUT_CONTENTS"
    ENDING_BALANCE = "ENDING_BALANCE"


class DifferenceKind(StrEnum):
    """What differs."""

    NOT_IN_REPORT = "NOT_IN_REPORT"
    """The API lists it, the report does not."""
    NOT_LISTED = "NOT_LISTED"
    """The report has it, the API lists it not, or on another day."""
    TWICE = "TWICE"
    """The report has it more than once."""
    OTHER_AMOUNT = "OTHER_AMOUNT"
    """Another gross, fee, net or currency."""
    OTHER_CATEGORY = "OTHER_CATEGORY"
    """Another reporting category."""
    OTHER_PAYOUT = "OTHER_PAYOUT"
    """It is part of another payout."""
    FIGURE = "FIGURE"
    """A figure of a summary is not what the day's rows, or the balance, come to."""
    UNREADABLE = "UNREADABLE"
    """The file cannot be had, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A balance transaction, or a figure of a summary, in minor units. None where it is not known:
    what an old release of the gateway has read lacks gross and fee."""

    key: str
    currency: str
    net: int
    gross: int | None = None
    fee: int | None = None
    category: str = ""
    payout: str = ""
    """The automatic payout that contains it. Empty if none does, or that is not compared."""


@dataclass(frozen=True, slots=True)
class ReportDifference:
    """One difference, with what both sides say."""

    kind: DifferenceKind
    key: str
    listed: Movement | None = None
    reported: Movement | None = None

    @property
    def amounts(self) -> Mapping[str, int]:
        """By currency, the net that is listed less the net that is reported."""
        sums: dict[str, int] = defaultdict(int)
        if self.listed is not None:
            sums[self.listed.currency] += self.listed.net
        if self.reported is not None:
            sums[self.reported.currency] -= self.reported.net
        return sums


@dataclass(frozen=True, slots=True)
class ReportName:
    """A report: its id, whose it is, what it is of, and its day."""

    report_id: str
    corridor: str
    kind: Kind
    start: datetime
    end: datetime
    day: date
    """The day in the time zone of the corridor's book days."""

    @property
    def subject(self) -> str:
        """What a break is of."""
        return f"report {self.kind} {self.day}"


def compare_rows(
    listed: Iterable[Movement], reported: Iterable[Movement]
) -> list[ReportDifference]:
    """The differences of a report of movements, in the order of their ids."""
    here = {movement.key: movement for movement in listed}
    found: list[ReportDifference] = []
    seen: Counter[str] = Counter()
    for row in reported:
        seen[row.key] += 1
        known = here.get(row.key)
        if seen[row.key] > 1:
            found.append(ReportDifference(DifferenceKind.TWICE, row.key, None, row))
        elif known is None:
            found.append(ReportDifference(DifferenceKind.NOT_LISTED, row.key, None, row))
        elif kind := _difference_of(known, row):
            found.append(ReportDifference(kind, row.key, known, row))
    found += [
        ReportDifference(DifferenceKind.NOT_IN_REPORT, key, movement, None)
        for key, movement in here.items()
        if key not in seen
    ]
    return sorted(found, key=lambda difference: (difference.key, difference.kind))


def _difference_of(listed: Movement, row: Movement) -> DifferenceKind | None:
    if (listed.currency, listed.net) != (row.currency, row.net):
        return DifferenceKind.OTHER_AMOUNT
    if listed.gross is not None and (listed.gross, listed.fee) != (row.gross, row.fee):
        return DifferenceKind.OTHER_AMOUNT
    if listed.category and listed.category != row.category:
        return DifferenceKind.OTHER_CATEGORY
    if listed.payout and listed.payout != row.payout:
        return DifferenceKind.OTHER_PAYOUT
    return None


ACTIVITY, PAYOUTS, BEFORE, AFTER = "activity", "payouts", "starting_balance", "ending_balance"


@dataclass(frozen=True, slots=True)
class Sums:
    """By currency what the day's activity and payouts come to, and the balance at its end."""

    activity: Mapping[str, int]
    payouts: Mapping[str, int]
    ending: Mapping[str, int]


def compare_summary(sums: Sums, figures: Iterable[Movement]) -> list[ReportDifference]:
    """The differences of a summary, whose figures have their category as key; one that is not
    there is zero."""
    told: dict[tuple[str, str], int] = defaultdict(int)
    for figure in figures:
        told[figure.key, figure.currency] += figure.net
    currencies = {
        *(currency for _, currency in told),
        *(currency for each in (sums.activity, sums.payouts, sums.ending) for currency in each),
    }
    found = []
    for currency in sorted(currencies):
        activity, payouts = sums.activity.get(currency, 0), sums.payouts.get(currency, 0)
        ending = sums.ending.get(currency, 0)
        expected = {
            BEFORE: ending - activity - payouts,
            ACTIVITY: activity,
            PAYOUTS: payouts,
            AFTER: ending,
        }
        for name, amount in expected.items():
            if told[name, currency] != amount:
                found.append(
                    ReportDifference(
                        DifferenceKind.FIGURE,
                        f"{name} {currency}",
                        Movement(name, currency, amount),
                        Movement(name, currency, told[name, currency]),
                    )
                )
    return found


_WORDS = {
    DifferenceKind.NOT_IN_REPORT: "missing in it",
    DifferenceKind.NOT_LISTED: "not listed by the API",
    DifferenceKind.TWICE: "there more than once",
    DifferenceKind.OTHER_AMOUNT: "of another amount",
    DifferenceKind.OTHER_CATEGORY: "of another category",
    DifferenceKind.OTHER_PAYOUT: "of another payout",
    DifferenceKind.FIGURE: "not what the rows come to",
    DifferenceKind.UNREADABLE: "not readable",
}


def condition_of(report: ReportName, differences: Sequence[ReportDifference]) -> Condition:
    """What is told of a report that differs: how many of each kind, with the first few keys."""
    by_kind: dict[DifferenceKind, list[str]] = defaultdict(list)
    amounts: dict[str, int] = defaultdict(int)
    for difference in differences:
        by_kind[difference.kind].append(difference.key)
        # The figures of a summary overlap: what they differ by adds up to nothing.
        if difference.kind is not DifferenceKind.FIGURE:
            for currency, amount in difference.amounts.items():
                amounts[currency] += amount
    said = "; ".join(
        f"{len(keys)} {_WORDS[kind]} ({_some(keys)})" for kind, keys in sorted(by_kind.items())
    )
    figures = [each for each in differences if each.kind is DifferenceKind.FIGURE]
    if figures:
        first = figures[0]
        assert first.listed is not None
        assert first.reported is not None
        said += (
            f", the first {amount_text(first.listed.currency, first.listed.net)} by the API and "
            f"{amount_text(first.reported.currency, first.reported.net)} in it"
        )
    return Condition(
        BreakKind.REPORT_DIFFERS,
        report.corridor,
        report.subject,
        report.end,
        f"Stripe's report {report.kind} differs from its API: {said}"[:MAX_SAYS_CHARACTERS],
        tuple(sorted(amounts.items())),
    )


def _some(keys: Sequence[str]) -> str:
    named = ", ".join(keys[:MAX_NAMED])
    return named if len(keys) <= MAX_NAMED else f"{named} and {len(keys) - MAX_NAMED} more"


def looked_at_again(first: datetime, last: datetime) -> datetime | None:
    """When a report that differs is compared again, by its first and last comparison: soon at
    first, then once a day; None if that has gone on for long enough."""
    if last - first > LOOKED_AT_FOR:
        return None
    return last + min(max(last - first, FIRST_PAUSE), LAST_PAUSE)
