"""The UK Sanctions List, in CSV.

Below a line with the report's date there is a header of some sixty columns. Each row is one name of
an entry with one of its addresses, birth dates and nationalities, and repeats which entry that is.
"Name 6" is a family name or an organisation's or ship's whole name, "Name 1" to "Name 5" given
names. Source: https://www.gov.uk/government/publications/the-uk-sanctions-list (files and notes).
"""

from collections import Counter
from collections.abc import Mapping

from compliance.screening.delimited import MAX_ROWS, records
from compliance.screening.entries import BrokenListError, EntryKind, EntryName, ParsedList
from compliance.screening.listed import (
    ALSO_KNOWN_AS,
    WEAK,
    Pieces,
    day_first_date,
    parsed_list,
)
from compliance.screening.plausibility import WEAK_ALIASES

FILE = "uk.csv"
# The report's date.
LEADING_ROWS = 1
ENTRY, REGIME = "Unique ID", "Regime Name"
NAME_PARTS = ("Name 1", "Name 2", "Name 3", "Name 4", "Name 5", "Name 6")
NAME_TYPE, STRENGTH, NATIVE_NAME = "Name type", "Alias strength", "Name non-latin script"
COUNTRY, BIRTH_DATE, NATIONALITY = "Address Country", "D.O.B", "Nationality(/ies)"
# The column's name has changed: either is taken.
KINDS = ("Designation Type", "Individual, Entity, Ship")
COLUMNS = (
    *(ENTRY, REGIME, *NAME_PARTS, NAME_TYPE, STRENGTH, NATIVE_NAME),
    *(COUNTRY, BIRTH_DATE, NATIONALITY),
)
PRIMARY = "primary name"
_KINDS = {
    "individual": EntryKind.PERSON,
    "entity": EntryKind.ORGANIZATION,
    "ship": EntryKind.VESSEL,
}


def parse(files: Mapping[str, bytes], max_rows: int = MAX_ROWS) -> ParsedList:
    """The list. Raises `BrokenListError` for anything that is not a whole list."""
    if FILE not in files:
        raise BrokenListError(f"{FILE} is missing")
    counts: Counter[str] = Counter(rows=0, addresses=0)
    found: dict[str, Pieces] = {}
    for row in records(FILE, files[FILE], COLUMNS, max_rows=max_rows, leading_rows=LEADING_ROWS):
        counts["rows"] += 1
        counts["addresses"] += bool(row[COUNTRY])
        number = row[ENTRY]
        if not number:
            raise BrokenListError(f"{FILE} row {counts['rows']} has no {ENTRY}")
        if number not in found:
            found[number] = Pieces(number, _kind(row))
        _add(found[number], row)
    return parsed_list(
        FILE,
        ((number, pieces) for number, pieces in found.items()),
        counts,
        frozenset([WEAK_ALIASES]),
    )


def _kind(row: Mapping[str, str]) -> EntryKind:
    said = next((row[name] for name in KINDS if name in row), None)
    if said is None:
        raise BrokenListError(f"{FILE} has no column {KINDS[0]!r}: it is another format")
    kind = _KINDS.get(said.lower())
    if kind is None:
        raise BrokenListError(f"{FILE} {row[ENTRY]} has the unknown type {said[:64]!r}")
    return kind


def _add(pieces: Pieces, row: Mapping[str, str]) -> None:
    name = " ".join(row[part] for part in NAME_PARTS if row[part])
    if row[NAME_TYPE].lower() == PRIMARY:
        pieces.main_names.append(name)
    else:
        is_weak = row[STRENGTH].lower().startswith("low")
        pieces.other_names.append(EntryName(name, WEAK if is_weak else ALSO_KNOWN_AS))
    pieces.other_names.append(EntryName(row[NATIVE_NAME], ALSO_KNOWN_AS))
    pieces.programs[row[REGIME]] = None
    pieces.countries |= {row[COUNTRY], row[NATIONALITY]}
    pieces.birth_dates.add(day_first_date(row[BIRTH_DATE]))
