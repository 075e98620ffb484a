"""The consolidated list of the United Nations Security Council, in XML.

`CONSOLIDATED_LIST` holds `INDIVIDUAL` and `ENTITY` elements; a name is in up to four parts, an
alias has a quality, a birth date a type. Source:
https://main.un.org/securitycouncil/en/content/un-sc-consolidated-list (its XML and its schema).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from compliance.screening.elements import MAX_RECORDS, records, text_of
from compliance.screening.entries import BrokenListError, EntryKind, EntryName, ParsedList
from compliance.screening.listed import (
    ALSO_KNOWN_AS,
    FORMERLY,
    WEAK,
    Pieces,
    date_of_parts,
    iso_date,
    parsed_list,
)

FILE = "consolidated.xml"
ROOT = "CONSOLIDATED_LIST"
_KINDS = {"INDIVIDUAL": EntryKind.PERSON, "ENTITY": EntryKind.ORGANIZATION}
_NAME_PARTS = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")
_ALIAS_TYPES = {"low": WEAK, "f.k.a.": FORMERLY}
# "BETWEEN" 1960 and 1965 is each of these years; more are no range that says anything.
MAX_YEARS = 20


def parse(files: Mapping[str, bytes], max_records: int = MAX_RECORDS) -> ParsedList:
    """The list. Raises `BrokenListError` for anything that is not a whole list."""
    if FILE not in files:
        raise BrokenListError(f"{FILE} is missing")
    counts: Counter[str] = Counter(individuals=0, entities=0, addresses=0)
    found = []
    for element in records(FILE, files[FILE], ROOT, _KINDS, max_records):
        counts["individuals" if element.tag == "INDIVIDUAL" else "entities"] += 1
        counts["addresses"] += len(element.findall(f"{element.tag}_ADDRESS"))
        found.append((text_of(element, "REFERENCE_NUMBER"), _pieces(element)))
    return parsed_list(FILE, found, counts)


def _pieces(element: Element) -> Pieces:
    pieces = Pieces(text_of(element, "DATAID"), _KINDS[element.tag])
    parts = (text_of(element, part) for part in _NAME_PARTS)
    pieces.main_names.append(" ".join(part for part in parts if part))
    for alias in element.findall(f"{element.tag}_ALIAS"):
        quality = text_of(alias, "QUALITY").lower()
        name = text_of(alias, "ALIAS_NAME")
        pieces.other_names.append(EntryName(name, _ALIAS_TYPES.get(quality, ALSO_KNOWN_AS)))
    pieces.other_names.append(EntryName(text_of(element, "NAME_ORIGINAL_SCRIPT"), ALSO_KNOWN_AS))
    pieces.programs[text_of(element, "UN_LIST_TYPE")] = None
    pieces.countries |= {
        text_of(address, "COUNTRY") for address in element.findall(f"{element.tag}_ADDRESS")
    }
    pieces.countries |= {
        " ".join((value.text or "").split()) for value in element.findall("NATIONALITY/VALUE")
    }
    for date in element.findall("INDIVIDUAL_DATE_OF_BIRTH"):
        pieces.birth_dates |= set(_dates(date))
    return pieces


def _dates(date: Element) -> Iterator[str]:
    yield iso_date(text_of(date, "DATE"))
    yield date_of_parts(text_of(date, "YEAR"), text_of(date, "MONTH"), text_of(date, "DAY"))
    first, last = (date_of_parts(text_of(date, name), "", "") for name in ("FROM_YEAR", "TO_YEAR"))
    if first and last and 0 <= int(last) - int(first) <= MAX_YEARS:
        yield from map(str, range(int(first), int(last) + 1))
