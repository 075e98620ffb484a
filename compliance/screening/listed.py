"""What the formats share of an entry: its pieces as they are found, and how it is put together."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from compliance.screening.entries import (
    BrokenListError,
    Entry,
    EntryKind,
    EntryName,
    ParsedList,
)
from compliance.screening.plausibility import quantities_of

WEAK = "weak a.k.a."
ALSO_KNOWN_AS, FORMERLY, NOW = "a.k.a.", "f.k.a.", "n.k.a."
MAIN = "name"

_ISO_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_DAY_FIRST = re.compile(r"(\w{2})/(\w{2})/(\d{4})")


@dataclass
class Pieces:
    """An entry that is being read, by the list's own number of it."""

    number: str
    kind: EntryKind
    main_names: list[str] = field(default_factory=list)
    other_names: list[EntryName] = field(default_factory=list)
    programs: dict[str, None] = field(default_factory=dict)
    birth_dates: set[str] = field(default_factory=set)
    countries: set[str] = field(default_factory=set)

    def to_entry(self, where: str, entry_id: str) -> Entry:
        """The entry. Raises `BrokenListError` if it has no name."""
        names = [EntryName(name, MAIN) for name in self.main_names[:1] if name]
        names += [EntryName(name, ALSO_KNOWN_AS) for name in self.main_names[1:] if name]
        names += [name for name in self.other_names if name.text]
        if not names:
            raise BrokenListError(f"{where} {self.number} has no name")
        seen: dict[str, EntryName] = {}
        for name in names:
            seen.setdefault(name.text, name)
        return Entry(
            entry_id=entry_id,
            kind=self.kind,
            names=tuple(seen.values()),
            programs=tuple(name for name in self.programs if name),
            birth_dates=tuple(sorted(date for date in self.birth_dates if date)),
            countries=tuple(sorted(country for country in self.countries if country)),
        )


def parsed_list(
    where: str,
    found: Iterable[tuple[str, Pieces]],
    counts: Mapping[str, int],
    may_lack: frozenset[str] = frozenset(),
) -> ParsedList:
    """The list of what was found, each with the reference that people know it by.

    A reference that two share gets the list's number beside it. Raises `BrokenListError` for a list
    of nothing.
    """
    entries: dict[str, Entry] = {}
    for reference, pieces in found:
        entry_id = reference or pieces.number
        if entry_id in entries:
            entry_id = f"{entry_id}/{pieces.number}"
        if entry_id in entries:
            raise BrokenListError(f"{where} has the entry {entry_id} twice")
        entries[entry_id] = pieces.to_entry(where, entry_id)
    if not entries:
        raise BrokenListError(f"{where} has no entries")
    ordered = tuple(entry for _, entry in sorted(entries.items()))
    return ParsedList(ordered, {**quantities_of(ordered), **counts}, may_lack)


def iso_date(text: str) -> str:
    """A date of ISO 8601, whole or cut, whose parts can be; what is more is cut off, else empty."""
    found = _ISO_DATE.match(text.strip())
    return "" if found is None else _cut(found[1], found[2] or "", found[3] or "")


def day_first_date(text: str) -> str:
    """`31/12/1970` in ISO 8601; letters or zeros for day or month leave them out."""
    found = _DAY_FIRST.fullmatch(text.strip())
    return iso_date(text) if found is None else _cut(found[3], found[2], found[1])


def date_of_parts(year: str, month: str, day: str) -> str:
    """A date of numbers without leading zeros, of which the later ones may be empty."""
    return _cut(year, month.zfill(2), day.zfill(2)) if re.fullmatch(r"\d{4}", year) else ""


def _cut(year: str, month: str, day: str) -> str:
    if year == "0000":
        return ""
    if not (month.isdecimal() and 1 <= int(month) <= 12):
        return year
    if not (day.isdecimal() and 1 <= int(day) <= 31):
        return f"{year}-{month}"
    return f"{year}-{month}-{day}"
