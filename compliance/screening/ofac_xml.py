"""OFAC's lists in the advanced XML format: the SDN list and the consolidated one.

A document has reference values (what the numbers of types, countries and lists mean), locations,
parties with names and features (birth dates, nationalities, locations), and sanctions entries with
the programmes of each party. Source: "Advanced Sanctions List Standard",
https://ofac.treasury.gov/sdn-list-data-formats-data-schemas, and its schema.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from compliance.screening.elements import MAX_RECORDS, records, text_of
from compliance.screening.entries import BrokenListError, EntryKind, EntryName, ParsedList
from compliance.screening.listed import (
    ALSO_KNOWN_AS,
    FORMERLY,
    NOW,
    WEAK,
    Pieces,
    date_of_parts,
    parsed_list,
)
from compliance.screening.sdn import CONSOLIDATED_MAY_LACK

FILE = "advanced.xml"
ROOT = "Sanctions"
PARTY, ENTRY, LOCATION = "DistinctParty", "SanctionsEntry", "Location"
REFERENCES = ("AliasType", "Country", "FeatureType", "PartySubType", "PartyType")
MAIN_NAME = "name"
_ALIAS_TYPES = {"a.k.a.": ALSO_KNOWN_AS, "f.k.a.": FORMERLY, "n.k.a.": NOW}
_KINDS = {
    "individual": EntryKind.PERSON,
    "entity": EntryKind.ORGANIZATION,
    "vessel": EntryKind.VESSEL,
    "aircraft": EntryKind.AIRCRAFT,
}
BIRTH_DATE = "birthdate"
COUNTRY_FEATURES = frozenset(["nationality country", "citizenship country", "location"])

# What numbers mean, by the reference's name.
Meanings = dict[str, dict[str, str]]


def parse_consolidated(files: Mapping[str, bytes]) -> ParsedList:
    """The consolidated list. Raises `BrokenListError`."""
    parsed = parse(files)
    return ParsedList(parsed.entries, parsed.quantities, CONSOLIDATED_MAY_LACK)


def parse(files: Mapping[str, bytes], max_records: int = MAX_RECORDS) -> ParsedList:
    """The SDN list. Raises `BrokenListError` for anything that is not a whole list."""
    if FILE not in files:
        raise BrokenListError(f"{FILE} is missing")
    meanings: Meanings = {name: {} for name in REFERENCES}
    sub_types: dict[str, str] = {}
    locations: dict[str, set[str]] = {}
    parties: dict[str, Pieces] = {}
    counts: Counter[str] = Counter({"locations": 0, "sanctions entries": 0})
    wanted = (*REFERENCES, LOCATION, PARTY, ENTRY)
    for element in records(FILE, files[FILE], ROOT, wanted, max_records):
        number = element.get("ID", "")
        if element.tag in meanings:
            meanings[element.tag][number] = " ".join((element.text or "").split())
            if element.tag == "PartySubType":
                sub_types[number] = element.get("PartyTypeID", "")
        elif element.tag == LOCATION:
            counts["locations"] += 1
            locations[number] = set(_countries(element, meanings))
        elif element.tag == PARTY:
            for profile in element.iter("Profile"):
                pieces = _pieces(profile, meanings, sub_types, locations)
                parties[pieces.number] = pieces
        else:
            counts["sanctions entries"] += 1
            _add_programs(element, parties)
    return parsed_list(FILE, ((number, pieces) for number, pieces in parties.items()), counts)


def _pieces(
    profile: Element,
    meanings: Meanings,
    sub_types: Mapping[str, str],
    locations: Mapping[str, set[str]],
) -> Pieces:
    number = profile.get("ID", "")
    pieces = Pieces(number, _kind(profile, meanings, sub_types))
    for alias in profile.iter("Alias"):
        kind = _meaning(meanings, "AliasType", alias.get("AliasTypeID", "")).lower()
        is_weak = alias.get("LowQuality") == "true"
        for documented in alias.iter("DocumentedName"):
            parts = ["".join(part.itertext()).split() for part in documented.iter("NamePartValue")]
            name = " ".join(word for words in parts for word in words)
            if kind == MAIN_NAME and not pieces.main_names:
                pieces.main_names.append(name)
            else:
                known_as = WEAK if is_weak else _ALIAS_TYPES.get(kind, ALSO_KNOWN_AS)
                pieces.other_names.append(EntryName(name, known_as))
    for feature in profile.iter("Feature"):
        kind = _meaning(meanings, "FeatureType", feature.get("FeatureTypeID", "")).lower()
        if kind == BIRTH_DATE:
            pieces.birth_dates |= set(_dates(feature))
        elif kind in COUNTRY_FEATURES:
            for place in feature.iter("VersionLocation"):
                location = place.get("LocationID", "")
                if location not in locations:
                    raise BrokenListError(f"{FILE} party {number} has an unknown location")
                pieces.countries |= locations[location]
    return pieces


def _kind(profile: Element, meanings: Meanings, sub_types: Mapping[str, str]) -> EntryKind:
    """By the sub-type's name for what moves, else by the type's."""
    sub_type = profile.get("PartySubTypeID", "")
    said = _meaning(meanings, "PartySubType", sub_type)
    kind = _KINDS.get(said.lower())
    if kind is None:
        said = _meaning(meanings, "PartyType", sub_types[sub_type])
        kind = _KINDS.get(said.lower())
    if kind is None:
        raise BrokenListError(
            f"{FILE} party {profile.get('ID')} has the unknown type {said[:64]!r}"
        )
    return kind


def _countries(location: Element, meanings: Meanings) -> Iterator[str]:
    for country in location.iter("LocationCountry"):
        yield _meaning(meanings, "Country", country.get("CountryID", ""))


def _dates(feature: Element) -> Iterator[str]:
    """Each end of each period; a period of a whole year is that year."""
    for period in feature.iter("DatePeriod"):
        ends = [
            [text_of(found, part) for part in ("Year", "Month", "Day")]
            for path in ("Start/From", "End/To")
            if (found := period.find(path)) is not None
        ]
        is_year = len(ends) == 2 and ends[0][1:] == ["1", "1"] and ends[1][1:] == ["12", "31"]
        for year, month, day in ends:
            yield date_of_parts(year, "", "") if is_year else date_of_parts(year, month, day)


def _add_programs(entry: Element, parties: Mapping[str, Pieces]) -> None:
    number = entry.get("ProfileID", "")
    if number not in parties:
        raise BrokenListError(f"{FILE} has an entry of party {number[:64]}, which is not there")
    for measure in entry.iter("SanctionsMeasure"):
        parties[number].programs[text_of(measure, "Comment")] = None


def _meaning(meanings: Meanings, name: str, number: str) -> str:
    if number not in meanings[name]:
        raise BrokenListError(f"{FILE} uses the {name} {number[:64]!r}, which it does not explain")
    return meanings[name][number]
