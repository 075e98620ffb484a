"""The day that something is booked on, in the time zone of its corridor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_NAME = "UTC"
_DAY = timedelta(days=1)


class BookDayError(ValueError):
    """Time zones cannot be used; the message names the corridor and what is wrong."""


@dataclass(frozen=True)
class BookDays:
    """The time zones of corridors; others go by UTC, as Stripe does for most accounts."""

    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)

    def zone_of(self, corridor: str) -> str:
        """The name of a corridor's time zone."""
        zone = self.zones.get(corridor)
        return UTC_NAME if zone is None else zone.key

    def day_of(self, corridor: str, instant: datetime) -> date:
        """The day of an aware time."""
        return instant.astimezone(self.zones.get(corridor, UTC)).date()

    def start_of(self, corridor: str, day: date) -> datetime:
        """When a day begins, in UTC."""
        return self.end_of(corridor, day - _DAY)

    def end_of(self, corridor: str, day: date) -> datetime:
        """When a day is over, in UTC: the midnight after it."""
        midnight = datetime.combine(day + _DAY, time(), self.zones.get(corridor, UTC))
        return midnight.astimezone(UTC)


IN_UTC = BookDays()


def read_book_days(zones: Mapping[str, str]) -> BookDays:
    """Time zones by their names. Raises `BookDayError`."""
    found = {}
    for corridor, name in zones.items():
        try:
            found[corridor] = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BookDayError(f"corridor {corridor}: no time zone {name}") from error
    return BookDays(found)
