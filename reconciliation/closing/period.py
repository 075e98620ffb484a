"""Days and months that are closed, one after the other: pure rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from reconciliation.matching.book_days import BookDays

_DAY = timedelta(days=1)


class PeriodKind(StrEnum):
    """How long it is."""

    DAY = "DAY"
    MONTH = "MONTH"


class PeriodError(ValueError):
    """There is no such period; the message says why."""


@dataclass(frozen=True)
class Period:
    """A day, or a month of the calendar."""

    kind: PeriodKind
    first_day: date

    def __post_init__(self) -> None:
        if self.kind is PeriodKind.MONTH and self.first_day.day != 1:
            raise PeriodError("is not the first day of a month")

    @property
    def last_day(self) -> date:
        """Of a day, itself."""
        if self.kind is PeriodKind.DAY:
            return self.first_day
        # No month has so many days, and the next none so few.
        return (self.first_day + 31 * _DAY).replace(day=1) - _DAY

    def end_of(self, corridor: str, book_days: BookDays) -> datetime:
        """When it is over in a corridor."""
        return book_days.end_of(corridor, self.last_day)


@dataclass(frozen=True)
class ClosedDays:
    """What of a corridor is closed: all days from the first to the last, and some months."""

    first_day: date
    last_day: date
    months: Mapping[date, int]
    """Numbers of closings by the first days of months."""


@dataclass(frozen=True)
class OutOfOrder:
    """Why a period cannot be closed now: this day has to be closed first."""

    next_day: date


def obstacle(period: Period, closed: ClosedDays | None) -> OutOfOrder | None:
    """What has to be closed before a period; None if it is its turn. A corridor begins with any
    day; then days follow without gaps, and a month when all its days are closed.

    Whoever closes what is closed already is told so elsewhere.
    """
    if closed is None:
        return None if period.kind is PeriodKind.DAY else OutOfOrder(period.first_day)
    if period.kind is PeriodKind.DAY:
        follows = period.first_day == closed.last_day + _DAY
        return None if follows else OutOfOrder(closed.last_day + _DAY)
    if closed.last_day < period.last_day or closed.first_day > period.last_day:
        return OutOfOrder(closed.last_day + _DAY)
    return None


def days_of(period: Period) -> Iterator[date]:
    """All its days."""
    day = period.first_day
    while day <= period.last_day:
        yield day
        day += _DAY
