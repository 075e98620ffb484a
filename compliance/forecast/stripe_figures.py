"""Figures of Stripe's that its API does not tell: volumes from which it asks for more, and delays.

Data with source and date, read when the service starts. Where Stripe has published no figure there
is none here; an operator who knows one has a file of their own in the same form.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from compliance.accounts.requirements import Requirement
from compliance.data_lines import DATA, DataError, data_lines

THRESHOLDS = DATA / "volume_thresholds.tsv"
DELAYS = DATA / "enforcement_delays.tsv"
THRESHOLD_COLUMNS = (
    *("country", "capability", "requirement", "currency", "volume", "days", "start"),
    *("read on", "source"),
)
DELAY_COLUMNS = ("kind", "days", "read on", "source")
MAX_DAYS = 3650
KINDS = ("CHARGES", "PAYOUTS")

_FORMS = {
    "country": r"[A-Z]{2}",
    "capability": r"[a-z0-9_]+",
    "requirement": r"[a-z0-9_.*]+",
    "currency": r"[A-Z]{3}",
    "volume": r"([1-9]\d{0,14})?",
    "days": r"(0|[1-9]\d{0,3})?",
    "start": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "read on": r"\d{4}-\d\d-\d\d",
    "source": r"https://[!-~]+",
    "kind": "|".join(KINDS),
}


@dataclass(frozen=True)
class VolumeThreshold:
    """From when on Stripe asks accounts of a country for one thing.

    At `volume_minor` of all charges so far in this currency, or `days` after the first one,
    whichever comes first; None if it does not depend on it.
    """

    country_code: str
    capability: str
    pattern: str
    currency_code: str
    volume_minor: int | None
    days: timedelta | None
    start_time: datetime
    source: str

    def concerns(
        self, requirement: Requirement, country_code: str, capabilities: Iterable[str]
    ) -> bool:
        """Whether the requirement is what is asked for then, of such an account."""
        return (
            self.country_code == country_code
            and self.capability in capabilities
            and fnmatchcase(requirement.field, self.pattern)
        )


def read_thresholds(*paths: Path) -> tuple[VolumeThreshold, ...]:
    """The thresholds of files, in their order. Raises `DataError`."""
    found: list[VolumeThreshold] = []
    for path in paths:
        for where, fields in data_lines(path, THRESHOLD_COLUMNS):
            row = _checked(where, THRESHOLD_COLUMNS, fields)
            if not row["volume"] and not row["days"]:
                raise DataError(f"{where}: says neither a volume nor days")
            found.append(
                VolumeThreshold(
                    country_code=row["country"],
                    capability=row["capability"],
                    pattern=row["requirement"],
                    currency_code=row["currency"],
                    volume_minor=int(row["volume"]) if row["volume"] else None,
                    days=_days(where, row["days"]) if row["days"] else None,
                    start_time=_time(where, row["start"]),
                    source=row["source"],
                )
            )
    return tuple(found)


def read_delays(path: Path = DELAYS) -> dict[str, timedelta]:
    """How long Stripe waits at most, by what it stops. Raises `DataError`."""
    found: dict[str, timedelta] = {}
    for where, fields in data_lines(path, DELAY_COLUMNS):
        row = _checked(where, DELAY_COLUMNS, fields)
        if row["kind"] in found:
            raise DataError(f"{where}: {row['kind']} is there twice")
        found[row["kind"]] = _days(where, row["days"])
    missing = sorted(set(KINDS) - found.keys())
    if missing:
        raise DataError(f"{path.name} says nothing of {', '.join(missing)}")
    return found


def _checked(where: str, columns: tuple[str, ...], fields: list[str]) -> dict[str, str]:
    row = dict(zip(columns, fields, strict=True))
    for column, value in row.items():
        if not re.fullmatch(_FORMS[column], value):
            raise DataError(f"{where}: {value!r} is no {column}")
    return row


def _days(where: str, text: str) -> timedelta:
    if not text or int(text) > MAX_DAYS:
        raise DataError(f"{where}: {text!r} is no number of days up to {MAX_DAYS}")
    return timedelta(days=int(text))


def _time(where: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise DataError(f"{where}: {text!r} is no time") from error
