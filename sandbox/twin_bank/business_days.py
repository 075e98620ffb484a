"""The days on which a bank books, worked out from the rules that lay them down."""

from datetime import date, timedelta
from enum import StrEnum

_MONDAY, _THURSDAY, _SATURDAY = 0, 3, 5
_DAY = timedelta(days=1)


class Calendar(StrEnum):
    """Whose holidays a bank keeps."""

    # The euro's payment systems: European Central Bank, "TARGET closing days".
    TARGET = "TARGET"
    # The US's: Federal Reserve Banks, "Holiday schedules".
    FEDERAL_RESERVE = "FEDERAL_RESERVE"
    # None but Saturdays and Sundays.
    WEEKDAYS = "WEEKDAYS"


def is_business_day(calendar: Calendar, day: date) -> bool:
    """Whether a bank books on a day."""
    if day.weekday() >= _SATURDAY:
        return False
    match calendar:
        case Calendar.TARGET:
            return not _is_target_holiday(day)
        case Calendar.FEDERAL_RESERVE:
            return not _is_federal_reserve_holiday(day)
        case Calendar.WEEKDAYS:
            return True


def on_or_after(calendar: Calendar, day: date) -> date:
    """The first business day from `day` on."""
    while not is_business_day(calendar, day):
        day += _DAY
    return day


def business_days_after(calendar: Calendar, day: date, count: int) -> date:
    """The business day that comes `count` after the first one from `day` on."""
    day = on_or_after(calendar, day)
    for _ in range(count):
        day = on_or_after(calendar, day + _DAY)
    return day


def easter_sunday(year: int) -> date:
    """By Gauss's method as Meeus and Jones have it: the Sunday after the full moon of spring."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    leaps, leap_rest = divmod(century, 4)
    moon_correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leaps - moon_correction + 15) % 30
    quarter, rest = divmod(in_century, 4)
    weekday = (32 + 2 * leap_rest + 2 * quarter - epact - rest) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _is_target_holiday(day: date) -> bool:
    """New Year, Good Friday, Easter Monday, 1 May, 25 and 26 December; none is moved."""
    easter = easter_sunday(day.year)
    if day in (easter - 2 * _DAY, easter + _DAY):
        return True
    return (day.month, day.day) in ((1, 1), (5, 1), (12, 25), (12, 26))


def _is_federal_reserve_holiday(day: date) -> bool:
    """The eleven holidays; one on a Sunday is kept on the Monday, one on a Saturday is lost."""
    fixed = ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))
    if (day.month, day.day) in fixed:
        return True
    before = day - _DAY
    if day.weekday() == _MONDAY and (before.month, before.day) in fixed:
        return True
    week = (day.day - 1) // 7 + 1
    if day.weekday() == _MONDAY:
        is_last = (day + 7 * _DAY).month != day.month
        return (day.month, week) in ((1, 3), (2, 3), (9, 1), (10, 2)) or (
            day.month == 5 and is_last
        )
    return day.weekday() == _THURSDAY and (day.month, week) == (11, 4)
