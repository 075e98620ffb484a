"""Holidays that the twin's bank works out, against those that the central banks have published."""

from datetime import date, timedelta

import pytest

from reconciliation.matching.calendars import read_calendars
from sandbox.twin_bank.business_days import (
    Calendar,
    business_days_after,
    easter_sunday,
    is_business_day,
    on_or_after,
)

PUBLISHED = read_calendars().known
SATURDAY = 5


@pytest.mark.parametrize(
    ("calendar", "first", "last"),
    [
        (Calendar.TARGET, date(2025, 1, 1), date(2028, 12, 31)),
        (Calendar.FEDERAL_RESERVE, date(2025, 1, 1), date(2027, 12, 31)),
    ],
)
def test_the_rules_give_the_published_days(calendar: Calendar, first: date, last: date) -> None:
    published = PUBLISHED[calendar.value]
    for ahead in range((last - first).days + 1):
        day = first + timedelta(ahead)
        assert is_business_day(calendar, day) == published.is_business_day(day), day


def test_easter_is_when_it_was_and_will_be() -> None:
    # The earliest and the latest day that there is, and the cases in which the simple rule fails.
    for day in (
        date(1818, 3, 22),
        date(1954, 4, 18),
        date(1981, 4, 19),
        date(2000, 4, 23),
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2038, 4, 25),
        date(2049, 4, 18),
        date(2076, 4, 19),
    ):
        assert easter_sunday(day.year) == day


def test_the_federal_reserve_moves_holidays_from_sundays_only() -> None:
    assert not is_business_day(Calendar.FEDERAL_RESERVE, date(2027, 7, 5))
    # 4 July 2026 and 25 December 2027 are Saturdays.
    assert is_business_day(Calendar.FEDERAL_RESERVE, date(2026, 7, 3))
    assert is_business_day(Calendar.FEDERAL_RESERVE, date(2027, 12, 24))


def test_days_are_counted_over_weekends_and_holidays() -> None:
    maundy_thursday = date(2026, 4, 2)
    after_easter = date(2026, 4, 7)
    assert on_or_after(Calendar.TARGET, maundy_thursday) == maundy_thursday
    assert business_days_after(Calendar.TARGET, maundy_thursday, 1) == after_easter
    assert business_days_after(Calendar.TARGET, date(2026, 4, 4), 0) == after_easter
    assert business_days_after(Calendar.FEDERAL_RESERVE, maundy_thursday, 1) == date(2026, 4, 3)
    assert all(
        is_business_day(Calendar.WEEKDAYS, day) == (day.weekday() < SATURDAY)
        for day in (date(2026, 12, 25), date(2026, 12, 26))
    )
