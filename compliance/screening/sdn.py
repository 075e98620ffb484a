"""OFAC's SDN list and its consolidated list of the others, in the legacy CSV format.

`sdn.csv` (12 columns), `alt.csv` (5) and `add.csv` (6) have no header and are joined by ent_num in
column 1; `-0-` is null; weak aliases and birth dates are in the remarks, and `sdn_comments.csv`
(2 columns, optional) goes on where remarks were cut. The consolidated list has the same files under
other names (`cons_prim.csv`). The files may end with a DOS end-of-file sign.
Source: "Data specification", OFAC, 2023-09-25 (dat_spec.txt beside the files).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from compliance.screening.delimited import END_OF_FILE, decode, rows
from compliance.screening.entries import BrokenListError, Entry, EntryKind, EntryName, ParsedList
from compliance.screening.plausibility import (
    BIRTH_DATES,
    WEAK_ALIASES,
    check_ends,
    quantities_of,
)

NULL = "-0-"


class CsvFiles(NamedTuple):
    """The names of a list's files: entries, aliases, addresses, and perhaps the rest of remarks."""

    main: str
    alt: str
    add: str
    comments: str

    @property
    def columns(self) -> dict[str, int]:
        """How many columns each has."""
        return dict(zip(self, (12, 5, 6, 2), strict=True))

    @property
    def required(self) -> tuple[str, str, str]:
        return self.main, self.alt, self.add


SDN_FILES = CsvFiles("sdn.csv", "alt.csv", "add.csv", "sdn_comments.csv")
CONSOLIDATED_FILES = CsvFiles("cons_prim.csv", "cons_alt.csv", "cons_add.csv", "cons_comments.csv")
# The consolidated list is short, and of organisations mostly.
CONSOLIDATED_MAY_LACK = frozenset([WEAK_ALIASES, BIRTH_DATES])

_KINDS = {
    "": EntryKind.ORGANIZATION,
    "individual": EntryKind.PERSON,
    "vessel": EntryKind.VESSEL,
    "aircraft": EntryKind.AIRCRAFT,
}
_ALIAS_TYPES = {"aka": "a.k.a.", "fka": "f.k.a.", "nka": "n.k.a."}
# The quote that closes has the end of a remark behind it: names have apostrophes ("AL-SHA'IR").
_WEAK_ALIAS = re.compile(r"a\.k\.a\. '+\s*([^;]*?[^;'\s])\s*'+(?=\s*(?:[;.,)(]|$|\balt\b))")
_BIRTH_DATE = re.compile(r"\bDOB (?:circa )?((?:\d{1,2} )?(?:[A-Z][a-z]{2} )?\d{4})")
_COUNTRY = re.compile(r"\b(?:nationality|citizen) ([A-Z][A-Za-z ,.'()-]*?)(?:;|\.?$)")
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        start=1,
    )
}


def parse(files: Mapping[str, bytes]) -> ParsedList:
    """The SDN list, by entry id. Raises `BrokenListError` unless it is a whole list."""
    return _parse(SDN_FILES, files, is_mixed=True)


def parse_consolidated(files: Mapping[str, bytes]) -> ParsedList:
    """The consolidated list, in the same form. Raises `BrokenListError`."""
    parsed = _parse(CONSOLIDATED_FILES, files, is_mixed=False)
    return ParsedList(parsed.entries, parsed.quantities, CONSOLIDATED_MAY_LACK)


def _parse(names: CsvFiles, files: Mapping[str, bytes], *, is_mixed: bool) -> ParsedList:
    """The list. Of one that `is_mixed` any part has aliases and addresses; the consolidated list is
    several lists one behind the other, of which some have none."""
    for name in names.required:
        if name not in files:
            raise BrokenListError(f"{name} is missing")
    rows_of = {name: list(_rows(names, name, content)) for name, content in files.items()}
    main = {row[0]: row for row in rows_of[names.main]}
    if not main:
        raise BrokenListError(f"{names.main} is empty")
    if len(main) != len(rows_of[names.main]):
        raise BrokenListError(f"{names.main} has an ent_num twice")
    aliases, addresses, comments = (
        _by_entry(names.main, name, rows_of.get(name, ()), main.keys()) for name in names[1:]
    )
    entries = (
        _entry(names.main, row, aliases[number], addresses[number], comments[number])
        for number, row in main.items()
    )
    ordered = tuple(sorted(entries, key=lambda entry: int(entry.entry_id)))
    numbers = [int(number) for number in main]
    for name in (names.alt, names.add) if is_mixed else ():
        check_ends(name, numbers, (int(row[0]) for row in rows_of[name]))
    quantities = {
        **quantities_of(ordered),
        **{f"rows of {name}": len(rows_of[name]) for name in names.required},
    }
    return ParsedList(ordered, quantities)


def _rows(files: CsvFiles, name: str, content: bytes) -> Iterable[list[str]]:
    text = decode(content).rstrip(f"{END_OF_FILE}\r\n\t ")
    if text.count('"') % 2:
        raise BrokenListError(f"{name} ends inside quotes: it was cut off")
    columns = files.columns[name]
    for line, row in rows(name, text):
        fields = [_value(field) for field in row]
        if len(fields) != columns:
            raise BrokenListError(f"{name} line {line} has {len(fields)} columns, not {columns}")
        if not (fields[0].isascii() and fields[0].isdigit()):
            raise BrokenListError(f"{name} line {line} has no number in column 1")
        yield fields


def _value(field: str) -> str:
    return "" if field == NULL else field


def _by_entry(
    main: str, name: str, found: Iterable[list[str]], known: Iterable[str]
) -> dict[str, list[list[str]]]:
    """Rows by ent_num. One of an entry that sdn.csv lacks shows that the main file was cut off."""
    entries = set(known)
    grouped: dict[str, list[list[str]]] = defaultdict(list)
    for row in found:
        if row[0] not in entries:
            raise BrokenListError(f"{name} has ent_num {row[0]}, which {main} lacks")
        grouped[row[0]].append(row)
    return grouped


def _entry(
    main: str,
    row: list[str],
    aliases: list[list[str]],
    addresses: list[list[str]],
    comments: list[list[str]],
) -> Entry:
    number, name, kind, programs = row[0], row[1], row[2].lower(), row[3]
    if not name:
        raise BrokenListError(f"{main} ent_num {number} has no name")
    if kind not in _KINDS:
        raise BrokenListError(f"{main} ent_num {number} has the unknown type {row[2]!r}")
    remarks = "".join([row[11], *(comment[1] for comment in comments)])
    names = [EntryName(name, "name")]
    names += [
        EntryName(alias[3], _ALIAS_TYPES.get(alias[2].lower(), "a.k.a."))
        for alias in aliases
        if alias[3]
    ]
    names += [EntryName(weak, "weak a.k.a.") for weak in _WEAK_ALIAS.findall(remarks)]
    countries = {address[4] for address in addresses if address[4]}
    countries |= {found.strip() for found in _COUNTRY.findall(remarks)}
    return Entry(
        entry_id=str(int(number)),
        kind=_KINDS[kind],
        names=tuple(dict.fromkeys(names)),
        programs=tuple(part for part in re.split(r"[\[\];]\s*", programs) if part.strip()),
        birth_dates=tuple(sorted({_iso_date(found) for found in _BIRTH_DATE.findall(remarks)})),
        countries=tuple(sorted(countries)),
    )


def _iso_date(text: str) -> str:
    """`12 Jul 1960`, `Jul 1960` or `1960` in ISO 8601; an unknown month leaves the year."""
    parts = text.split()
    year = parts[-1]
    if len(parts) == 1 or parts[-2] not in _MONTHS:
        return year
    month = f"{year}-{_MONTHS[parts[-2]]}"
    return month if len(parts) == 2 else f"{month}-{int(parts[0]):02}"
