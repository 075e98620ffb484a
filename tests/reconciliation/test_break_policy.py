"""The files of ages and of calendars: what is in them, and what is refused."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from reconciliation.matching.calendars import (
    BUNDLED_CALENDARS,
    CalendarError,
    Calendars,
    read_calendars,
)
from reconciliation.matching.policy import (
    BUNDLED_POLICY,
    BreakKind,
    Patience,
    PolicyError,
    read_policy,
)

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "given.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_the_bundled_policy_has_ages_for_all_kinds() -> None:
    policy = read_policy(read_calendars())
    assert set(policy.kinds) == set(BreakKind)
    ages = policy.kinds[BreakKind.LEDGER_MISSING]
    since, calendar = datetime(2026, 11, 30, tzinfo=UTC), policy.calendars.of("any")
    assert ages.due.after(since, calendar) - since == timedelta(minutes=15)
    assert ages.overdue.after(since, calendar) - since == timedelta(hours=4)
    assert policy.patience == Patience(
        answer=timedelta(minutes=15), sweep=timedelta(minutes=15), report=timedelta(hours=36)
    )
    assert policy.bank_window("any", date(2026, 12, 24)) == (date(2026, 12, 23), date(2027, 1, 4))


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('due = "15 min"', 'due = "15 mins"', r"\[kinds.LEDGER_MISSING\] due: is not"),
        ('due = "15 min"', 'due = "5 h"', "overdue is not after due"),
        ('due = "15 min"', 'due = "0 min"', "is not up to 366 d"),
        ('overdue = "4 h"', 'overdue = "367 d"', "is not up to 366 d"),
        ('overdue = "5 bd"', 'overdue = "367 bd"', "is not 1 to 366 bd"),
        ('overdue = "5 bd"', 'overdue = "9 d"', "due counts business days"),
        ("before_days = 1", "before_days = true", "is not 0 to 31"),
        ("before_days = 1", "before_days = 32", "is not 0 to 31"),
        ("[kinds.RETURNED]", "[kinds.RETURNS]", "does not know RETURNS"),
        ('version = "2026-11-30"', "", "lacks version"),
        ('version = "2026-11-30"', 'version = ""', "version: is not a text"),
        ('action = "choose which belong together"', 'action = ""', "action: is not of 1 to 200"),
        ("[bank_window]", "[bank_window", "is no TOML"),
        ('answer = "15 min"', 'answer = "now"', r"\[patience\] answer: is not a number of"),
        ('sweep = "15 min"', 'sweep = "1 bd"', r"\[patience\] sweep: is not a number of"),
        ('report = "36 h"', 'report = "36"', r"\[patience\] report: is not"),
        ('report = "36 h"', "", r"\[patience\]: lacks report"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_by_its_place(
    write: Write, before: str, after: str, why: str
) -> None:
    text = BUNDLED_POLICY.read_text(encoding="utf-8")
    assert before in text
    path = write(text.replace(before, after, 1))
    with pytest.raises(PolicyError, match=why):
        read_policy(read_calendars(), path)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("2025-01-01,", "2025-01-01, 2025-01-01,", "is there twice"),
        ("until = 2028-12-31", "until = 2027-12-31", "is after until"),
        ("until = 2028-12-31", "", "has not exactly"),
        ("2025-01-01,", "2025-01-01T00:00:00,", "is not a date"),
        ("[TARGET]", "[TARGET2]", "has no TARGET"),
    ],
)
def test_calendars_that_are_wrong_are_refused(
    write: Write, before: str, after: str, why: str
) -> None:
    text = BUNDLED_CALENDARS.read_text(encoding="utf-8")
    with pytest.raises(CalendarError, match=why):
        read_calendars(path=write(text.replace(before, after, 1)))


def test_each_corridor_has_its_calendar() -> None:
    calendars: Calendars = read_calendars({"us": "FEDERAL_RESERVE"})
    # The Friday after Thanksgiving is one on which American banks book.
    assert calendars.of("us").add(date(2026, 11, 25), 1) == date(2026, 11, 27)
    assert calendars.of("de").add(date(2026, 11, 25), 1) == date(2026, 11, 26)
    assert calendars.of("de").add(date(2026, 11, 28), 0) == date(2026, 11, 28)
    with pytest.raises(CalendarError, match="no calendar MARS"):
        read_calendars({"us": "MARS"})
