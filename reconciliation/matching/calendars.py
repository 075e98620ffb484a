"""Business days, by a declared calendar for each corridor."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

BUNDLED_CALENDARS = Path(__file__).parent.parent / "data" / "calendars.toml"
DEFAULT_CALENDAR = "TARGET"
_SATURDAY = 5
_DAY = timedelta(days=1)


class CalendarError(ValueError):
    """Calendars cannot be used; the message names file, calendar and what is wrong."""


@dataclass(frozen=True)
class Calendar:
    """The days on which a bank books."""

    name: str
    holidays: frozenset[date]

    def is_business_day(self, day: date) -> bool:
        """Whether the bank books on a day."""
        return day.weekday() < _SATURDAY and day not in self.holidays

    def add(self, day: date, business_days: int) -> date:
        """The day that so many business days after `day` is; 0 is the day itself."""
        for _ in range(business_days):
            day += _DAY
            while not self.is_business_day(day):
                day += _DAY
        return day


@dataclass(frozen=True)
class Calendars:
    """Which calendar a corridor goes by."""

    known: Mapping[str, Calendar]
    by_corridor: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for corridor, name in self.by_corridor.items():
            if name not in self.known:
                named = ", ".join(sorted(self.known))
                raise CalendarError(f"corridor {corridor}: no calendar {name}; there are {named}")

    def of(self, corridor: str) -> Calendar:
        """The corridor's calendar, or the default one."""
        return self.known[self.by_corridor.get(corridor, DEFAULT_CALENDAR)]


def read_calendars(
    by_corridor: Mapping[str, str] | None = None, path: Path = BUNDLED_CALENDARS
) -> Calendars:
    """The calendars of a file. Raises `CalendarError`."""
    known = {}
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        where = f"{path.name} [{name}]"
        if not isinstance(table, dict) or set(table) != {"until", "holidays"}:
            raise CalendarError(f"{where}: has not exactly until and holidays")
        until, holidays = table["until"], table["holidays"]
        for day in (until, *holidays):
            # A time of day is a date, too.
            if not isinstance(day, date) or isinstance(day, datetime):
                raise CalendarError(f"{where}: {day} is not a date")
            if day > until:
                raise CalendarError(f"{where}: {day} is after until")
        if len(set(holidays)) != len(holidays):
            raise CalendarError(f"{where}: a holiday is there twice")
        known[name] = Calendar(name, frozenset(holidays))
    if DEFAULT_CALENDAR not in known:
        raise CalendarError(f"{path.name}: has no {DEFAULT_CALENDAR}")
    return Calendars(known, by_corridor or {})
