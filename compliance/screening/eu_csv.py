"""The European Union's consolidated list of financial sanctions, in CSV (version 1.1).

Fields are separated by semicolons, below a header of some hundred columns. Each row is one thing of
an entity (a name, an address, a birth date), and repeats which entity that is. Source:
https://webgate.ec.europa.eu/fsd/fsf (Financial Sanctions Files).
"""

from collections import Counter
from collections.abc import Mapping

from compliance.screening.delimited import MAX_ROWS, records
from compliance.screening.entries import BrokenListError, EntryKind, EntryName, ParsedList
from compliance.screening.listed import (
    ALSO_KNOWN_AS,
    Pieces,
    date_of_parts,
    iso_date,
    parsed_list,
)
from compliance.screening.plausibility import WEAK_ALIASES

FILE = "eu.csv"
DELIMITER = ";"
ENTITY, REFERENCE = "Entity_LogicalId", "Entity_EU_ReferenceNumber"
TYPE, TYPE_CODE = "Entity_SubjectType", "Entity_SubjectType_ClassificationCode"
PROGRAMME, NAME = "Entity_Regulation_Programme", "NameAlias_WholeName"
ADDRESS_COUNTRY, CITIZENSHIP = "Address_CountryIso2Code", "Citizenship_CountryIso2Code"
CITY, STREET = "Address_City", "Address_Street"
BIRTH_DATE, BIRTH_YEAR = "BirthDate_BirthDate", "BirthDate_Year"
COLUMNS = (
    *(ENTITY, REFERENCE, TYPE, TYPE_CODE, PROGRAMME, NAME, ADDRESS_COUNTRY, CITIZENSHIP),
    *(CITY, STREET, BIRTH_DATE, BIRTH_YEAR, "BirthDate_Month", "BirthDate_Day"),
)
# Either column may hold the letter or the word.
_KINDS = {
    **dict.fromkeys(["person", "p"], EntryKind.PERSON),
    **dict.fromkeys(["enterprise", "e"], EntryKind.ORGANIZATION),
}
UNKNOWN_COUNTRY = "00"


def parse(files: Mapping[str, bytes], max_rows: int = MAX_ROWS) -> ParsedList:
    """The list. Raises `BrokenListError` for anything that is not a whole list."""
    if FILE not in files:
        raise BrokenListError(f"{FILE} is missing")
    counts: Counter[str] = Counter(rows=0, addresses=0)
    found: dict[str, tuple[str, Pieces]] = {}
    for row in records(FILE, files[FILE], COLUMNS, DELIMITER, max_rows=max_rows):
        counts["rows"] += 1
        counts["addresses"] += any(row[name] for name in (ADDRESS_COUNTRY, CITY, STREET))
        number = row[ENTITY]
        if not number:
            raise BrokenListError(f"{FILE} row {counts['rows']} has no {ENTITY}")
        if number not in found:
            kind = _KINDS.get(row[TYPE_CODE].lower()) or _KINDS.get(row[TYPE].lower())
            if kind is None:
                raise BrokenListError(
                    f"{FILE} {number} has the unknown type {row[TYPE_CODE][:64]!r}"
                )
            found[number] = (row[REFERENCE], Pieces(number, kind))
        _add(found[number][1], row)
    return parsed_list(FILE, found.values(), counts, frozenset([WEAK_ALIASES]))


def _add(pieces: Pieces, row: Mapping[str, str]) -> None:
    if not pieces.main_names and row[NAME]:
        pieces.main_names.append(row[NAME])
    else:
        pieces.other_names.append(EntryName(row[NAME], ALSO_KNOWN_AS))
    pieces.programs[row[PROGRAMME]] = None
    pieces.countries |= {row[ADDRESS_COUNTRY], row[CITIZENSHIP]} - {UNKNOWN_COUNTRY}
    pieces.birth_dates.add(
        iso_date(row[BIRTH_DATE])
        or date_of_parts(row[BIRTH_YEAR], row["BirthDate_Month"], row["BirthDate_Day"])
    )
