"""OFAC's SDN list in its legacy CSV format.

`sdn.csv` (12 columns), `alt.csv` (5) and `add.csv` (6) have no header and are joined by ent_num in
column 1; `-0-` is null; weak aliases and birth dates are in the remarks, and `sdn_comments.csv`
(2 columns, optional) goes on where remarks were cut. The files may end with a DOS end-of-file sign.
Source: "Data specification", OFAC, 2023-09-25 (dat_spec.txt beside the files).
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from compliance.screening.entries import BrokenListError, Entry, EntryKind, EntryName, ParsedList
from compliance.screening.plausibility import check_ends, quantities_of

NULL = "-0-"
END_OF_FILE = "\x1a"
SDN, ALT, ADD, COMMENTS = "sdn.csv", "alt.csv", "add.csv", "sdn_comments.csv"
COLUMNS = {SDN: 12, ALT: 5, ADD: 6, COMMENTS: 2}
REQUIRED_FILES = (SDN, ALT, ADD)
MAX_ROWS = 500_000
MAX_FIELD_CHARACTERS = 20_000

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
    """The list, by entry id. Raises `BrokenListError` for anything that is not a whole list."""
    for name in REQUIRED_FILES:
        if name not in files:
            raise BrokenListError(f"{name} is missing")
    rows = {name: list(_rows(name, content)) for name, content in files.items()}
    main = {row[0]: row for row in rows[SDN]}
    if not main:
        raise BrokenListError(f"{SDN} is empty")
    if len(main) != len(rows[SDN]):
        raise BrokenListError(f"{SDN} has an ent_num twice")
    joined = {
        name: _by_entry(name, rows.get(name, ()), main.keys()) for name in (ALT, ADD, COMMENTS)
    }
    entries = (
        _entry(row, joined[ALT][number], joined[ADD][number], joined[COMMENTS][number])
        for number, row in main.items()
    )
    ordered = tuple(sorted(entries, key=lambda entry: int(entry.entry_id)))
    numbers = [int(number) for number in main]
    for name in (ALT, ADD):
        check_ends(name, numbers, (int(row[0]) for row in rows[name]))
    quantities = {
        **quantities_of(ordered),
        **{f"rows of {name}": len(rows[name]) for name in REQUIRED_FILES},
    }
    return ParsedList(ordered, quantities)


def _rows(name: str, content: bytes) -> Iterable[list[str]]:
    text = _decode(content).rstrip(f"{END_OF_FILE}\r\n\t ")
    if text.count('"') % 2:
        raise BrokenListError(f"{name} ends inside quotes: it was cut off")
    previous_limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for count, row in enumerate(reader, start=1):
            if count > MAX_ROWS:
                raise BrokenListError(f"{name} has more than {MAX_ROWS} rows")
            if not row:
                continue
            fields = [_value(field) for field in row]
            if len(fields) != COLUMNS[name]:
                raise BrokenListError(
                    f"{name} line {reader.line_num} has {len(fields)} columns, not {COLUMNS[name]}"
                )
            if not (fields[0].isascii() and fields[0].isdigit()):
                raise BrokenListError(f"{name} line {reader.line_num} has no number in column 1")
            yield fields
    except csv.Error as error:
        raise BrokenListError(f"{name} line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(previous_limit)


def _decode(content: bytes) -> str:
    """UTF-8 as OFAC publishes now, Windows-1252 as it did before."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise BrokenListError(f"byte {error.start} is in no known character set") from error


def _value(field: str) -> str:
    value = " ".join(field.split())
    return "" if value == NULL else value


def _by_entry(
    name: str, rows: Iterable[list[str]], known: Iterable[str]
) -> dict[str, list[list[str]]]:
    """Rows by ent_num. One of an entry that sdn.csv lacks shows that sdn.csv was cut off."""
    entries = set(known)
    grouped: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        if row[0] not in entries:
            raise BrokenListError(f"{name} has ent_num {row[0]}, which {SDN} lacks")
        grouped[row[0]].append(row)
    return grouped


def _entry(
    row: list[str],
    aliases: list[list[str]],
    addresses: list[list[str]],
    comments: list[list[str]],
) -> Entry:
    number, name, kind, programs = row[0], row[1], row[2].lower(), row[3]
    if not name:
        raise BrokenListError(f"{SDN} ent_num {number} has no name")
    if kind not in _KINDS:
        raise BrokenListError(f"{SDN} ent_num {number} has the unknown type {row[2]!r}")
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
