"""Sanctions programmes by country, each with the time it is in force: data, read when the code is.

A programme holds from its start, inclusive, to its end, exclusive. The data are part of a policy's
document, so that a decision is replayed by the programmes that it was made by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from compliance.data_lines import DATA, DataError, data_lines

COLUMNS = ("country", "start", "end", "programme", "source")

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SOURCE = re.compile(r"https://[!-~]+")


@dataclass(frozen=True)
class CountryProgramme:
    """One country under one programme; without `end_time` it is still in force."""

    country_code: str
    start_time: datetime
    end_time: datetime | None
    programme: str
    source: str

    def is_in_force(self, as_of: datetime) -> bool:
        return self.start_time <= as_of and (self.end_time is None or as_of < self.end_time)

    def overlaps(self, other: "CountryProgramme") -> bool:
        """Whether there is a moment at which both hold, of the same country and programme."""
        same = (self.country_code, self.programme) == (other.country_code, other.programme)
        return (
            same
            and (self.end_time is None or other.start_time < self.end_time)
            and (other.end_time is None or self.start_time < other.end_time)
        )


def read_country_programmes(
    path: Path = DATA / "country_programmes.tsv", countries: Path = DATA / "countries.tsv"
) -> tuple[CountryProgramme, ...]:
    """The programmes of a file, in its order. Raises `DataError`."""
    known = {code for _, (code, *_names) in data_lines(countries)}
    programmes: list[CountryProgramme] = []
    for where, fields in data_lines(path, COLUMNS):
        try:
            programmes.append(_programme(fields, known, programmes))
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error
    if not programmes:
        raise DataError(f"{path.name} names no programme")
    return tuple(programmes)


def _programme(
    fields: Sequence[str], known: set[str], before: Sequence[CountryProgramme]
) -> CountryProgramme:
    country, start, end, programme, source = fields
    if country not in known:
        raise ValueError(f"{country!r} is no ISO 3166-1 alpha-2 code")
    start_time, end_time = _time(start), _time(end) if end else None
    if end_time is not None and end_time <= start_time:
        raise ValueError("ends before it starts")
    if not programme.strip():
        raise ValueError("the programme has no name")
    if not _SOURCE.fullmatch(source):
        raise ValueError(f"{source!r} is no https address")
    read = CountryProgramme(country, start_time, end_time, programme, source)
    if any(read.overlaps(other) for other in before):
        raise ValueError("the programme is in force already at that time")
    return read


def _time(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no time like 2025-07-01T04:00:00Z")
    return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
