"""The lists' formats: what is read of each, and what is refused, with what is wrong and where."""

import re

import pytest

from compliance.screening import elements, eu_csv, ofac_xml, uk_csv, un_xml
from compliance.screening.delimited import MAX_FIELD_CHARACTERS
from compliance.screening.entries import BrokenListError, Entry, EntryKind
from compliance.screening.listed import date_of_parts, day_first_date, iso_date
from compliance.screening.plausibility import check_presence, check_shrinking
from tests.compliance.list_samples import (
    EU_CSV,
    OFAC_XML,
    SAMPLES,
    UK_CSV,
    UN_XML,
    Sample,
)

XML = [name for name in SAMPLES if name.endswith("XML")]
WITH_HEADER = ["EU CSV", "UK CSV"]


def entries_of(sample: str) -> dict[str, Entry]:
    found = SAMPLES[sample]
    return {entry.entry_id: entry for entry in found.parse(found.files).entries}


def names(entry: Entry) -> list[tuple[str, str]]:
    return [(name.text, name.type) for name in entry.names]


def refusal(sample: Sample, content: bytes) -> str:
    """What is said of a main file that is refused."""
    with pytest.raises(BrokenListError) as refused:
        sample.parse(sample.with_main(content))
    return str(refused.value)


def test_ofac_advanced_xml() -> None:
    entries = entries_of("OFAC advanced XML")
    person, company, ship = (entries[number] for number in ("501", "502", "503"))
    assert [entry.kind for entry in (person, company, ship)] == [
        EntryKind.PERSON,
        EntryKind.ORGANIZATION,
        EntryKind.VESSEL,
    ]
    assert names(person) == [
        ("QUOLIMAR Zentrave", "name"),
        ("THE QUIET ONE", "weak a.k.a."),
        ("Зентраве Куолимар", "a.k.a."),
    ]
    assert person.programs == ("MADE-UP-1", "MADE-UP-2")
    assert (person.birth_dates, person.countries) == (("1961-03-07", "1963"), ("Freedonia",))
    assert names(company) == [("DRELLOW TRADING", "name"), ("DRELLOW BROTHERS", "f.k.a.")]
    assert (company.birth_dates, company.countries) == ((), ("Sylvania",))


def test_ofac_consolidated_csv() -> None:
    entries = entries_of("OFAC consolidated CSV")
    assert entries["9001"].birth_dates == ("1961-03-07",)
    assert names(entries["9002"]) == [("DRELLOW TRADING", "name"), ("DRELLOW BROTHERS", "f.k.a.")]
    assert entries["9002"].countries == ("Cuba",)


def test_un_xml() -> None:
    entries = entries_of("UN XML")
    person, company = entries["FRi.001"], entries["SYe.002"]
    assert (person.kind, company.kind) == (EntryKind.PERSON, EntryKind.ORGANIZATION)
    assert names(person) == [
        ("QUOLIMAR VANDRELL ZENTRAVE", "name"),
        ("Q. V. Zentrave", "a.k.a."),
        ("The Quiet One", "weak a.k.a."),
        ("Куолимар Зентраве", "a.k.a."),
    ]
    assert person.birth_dates == ("1961-03-07", "1963", "1965", "1966", "1967")
    assert (person.programs, person.countries) == (("Freedonia",), ("Freedonia", "Sylvania"))
    assert names(company) == [("DRELLOW TRADING & CO", "name"), ("Drellow Brothers", "f.k.a.")]
    assert company.countries == ("Sylvania",)


def test_eu_csv() -> None:
    entries = entries_of("EU CSV")
    person, company = entries["EU.27.28"], entries["14"]
    assert (person.kind, company.kind) == (EntryKind.PERSON, EntryKind.ORGANIZATION)
    assert names(person) == [
        ("Quolimar Zentrave", "name"),
        ('The "Quiet"; One', "a.k.a."),
        ("Куолимар Зентраве", "a.k.a."),
    ]
    assert person.birth_dates == ("1961-03-07", "1963-05")
    assert (person.programs, person.countries) == (("MADEUP",), ("AQ",))
    assert company.countries == ("AQ",)


def test_uk_csv() -> None:
    entries = entries_of("UK CSV")
    person, company, ship = (entries[f"MUP000{number}"] for number in (1, 2, 3))
    assert [entry.kind for entry in (person, company, ship)] == [
        EntryKind.PERSON,
        EntryKind.ORGANIZATION,
        EntryKind.VESSEL,
    ]
    assert names(person) == [
        ("Quolimar V ZENTRAVE", "name"),
        ("Q ZENTRAVE", "a.k.a."),
        ("Куолимар Зентраве", "a.k.a."),
        ("QUIET ONE", "weak a.k.a."),
    ]
    assert person.birth_dates == ("1961-03-07", "1963", "1964-05")
    assert person.countries == ("Freedonia",)
    assert company.countries == ("Sylvania",)
    assert company.programs == ("The Made-Up (Sanctions) Regulations",)


def test_the_other_name_of_the_uk_column_is_taken_too() -> None:
    sample = SAMPLES["UK CSV"]
    renamed = UK_CSV.replace(uk_csv.KINDS[0], f'"{uk_csv.KINDS[1]}"').encode()
    assert sample.parse(sample.with_main(renamed)).entries == sample.parse(sample.files).entries
    without = UK_CSV.replace(uk_csv.KINDS[0], "Another").encode()
    assert (
        refusal(sample, without) == "uk.csv has no column 'Designation Type': it is another format"
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_every_quantity_is_counted(name: str) -> None:
    sample = SAMPLES[name]
    counted = sample.parse(sample.files).quantities
    assert {"entries", "aliases", "weak aliases", "birth dates", "countries"} < counted.keys()
    assert all(count > 0 for kind, count in counted.items() if kind != "weak aliases")


@pytest.mark.parametrize(
    ("name", "pattern", "kind", "left"),
    [
        ("UN XML", r"<\w+_ADDRESS>.*?</\w+_ADDRESS>", "addresses", 0),
        ("UN XML", r"<\w+_ALIAS>.*?</\w+_ALIAS>", "aliases", 1),
        ("UN XML", r"<\w+_DATE_OF_BIRTH>.*?</\w+_DATE_OF_BIRTH>", "birth dates", 0),
        ("UN XML", r"<ENTITY>.*?</ENTITY>", "entities", 0),
        ("OFAC advanced XML", r"<LocationCountry .*?/>", "countries", 0),
        ("OFAC advanced XML", r"<SanctionsEntry .*?</SanctionsEntry>", "sanctions entries", 0),
        ("OFAC advanced XML", r"<DatePeriod .*?</DatePeriod>", "birth dates", 0),
        ("EU CSV", r"1961-03-07|1963", "birth dates", 0),
        ("EU CSV", r"AQ|00", "countries", 0),
        ("UK CSV", r"Sylvania", "addresses", 0),
        ("UK CSV", r"07/03/1961", "birth dates", 2),
    ],
)
def test_what_is_gone_of_a_list_is_seen_in_its_quantities(
    name: str, pattern: str, kind: str, left: int
) -> None:
    sample = SAMPLES[name]
    text = sample.files[sample.file].decode()
    cut = sample.with_main(re.sub(pattern, "", text, flags=re.DOTALL).encode())
    before, now = sample.parse(sample.files).quantities, sample.parse(cut).quantities
    assert now[kind] == left < before[kind]
    whole = {**now, kind: 5 * before[kind]}
    with pytest.raises(BrokenListError, match=f"^{left} {kind} are left of {whole[kind]}$"):
        check_shrinking(whole, now)


@pytest.mark.parametrize("kind", ["weak aliases", "birth dates", "countries"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_list_has_something_of_each_kind_that_its_format_has(name: str, kind: str) -> None:
    parsed = SAMPLES[name].parse(SAMPLES[name].files)
    counts = {**dict.fromkeys(parsed.quantities, 100), kind: 0}
    if kind in parsed.may_lack:
        check_presence(counts, parsed.may_lack)
    else:
        with pytest.raises(BrokenListError, match=f"but no {kind}$"):
            check_presence(counts, parsed.may_lack)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_missing_empty_or_something_else_is_refused(name: str) -> None:
    sample = SAMPLES[name]
    with pytest.raises(BrokenListError, match=f"^{sample.file} is missing$"):
        sample.parse({})
    for nothing in (b"", b"\r\n \r\n"):
        assert refusal(sample, nothing) == f"{sample.file} is empty"
    for page in (b"<html><body>moved</body></html>", b"%PDF-1.7 \x00\x01", b'{"entries": []}'):
        assert refusal(sample, page).startswith(sample.file)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("other", SAMPLES)
def test_a_list_in_another_format_is_refused(name: str, other: str) -> None:
    if name != other:
        content = SAMPLES[other].files[SAMPLES[other].file]
        assert refusal(SAMPLES[name], content).startswith(SAMPLES[name].file)


@pytest.mark.parametrize("name", XML)
def test_xml_that_was_cut_anywhere_is_refused(name: str) -> None:
    sample = SAMPLES[name]
    whole = sample.files[sample.file].rstrip()
    for length in range(60, len(whole), 97):
        assert re.match(rf"{sample.file} line \d+: ", refusal(sample, whole[:length]))


@pytest.mark.parametrize("name", WITH_HEADER)
def test_columns_that_were_cut_within_a_line_are_refused(name: str) -> None:
    sample = SAMPLES[name]
    whole = sample.files[sample.file].rstrip()
    last_line = whole.rindex(b"\r\n")
    for length in range(last_line + 4, len(whole) - 8):
        assert re.match(
            rf"{sample.file} line \d+ has \d+ fields, not \d+$", refusal(sample, whole[:length])
        )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            '<!DOCTYPE a [<!ENTITY b "c">]><CONSOLIDATED_LIST>&b;</CONSOLIDATED_LIST>',
            "line 1: it has a document type, which no list has",
        ),
        ("<CONSOLIDATED_LIST>&b;</CONSOLIDATED_LIST>", "line 1: undefined entity"),
        ("<LIST/>", "line 1: it begins with <LIST>, not <CONSOLIDATED_LIST>"),
        ("<CONSOLIDATED_LIST/>", "has no entries"),
        (UN_XML.replace("QUOLIMAR", "\x01"), "line 3: not well-formed (invalid token)"),
        (
            UN_XML.replace("FRi.001", "SYe.002").replace("7000001", "7000002"),
            "has the entry SYe.002/7000002 twice",
        ),
    ],
)
def test_xml_that_is_refused_as_such(content: str, says: str) -> None:
    if "twice" in says:
        content = content.replace(
            "</ENTITIES>",
            content[content.index("<ENTITY>") : content.index("</ENTITIES>")] + "</ENTITIES>",
        )
    said = refusal(SAMPLES["UN XML"], content.encode())
    assert said == f"{un_xml.FILE} {says}"


def test_two_entries_of_one_reference_are_told_apart() -> None:
    sample = SAMPLES["UN XML"]
    parsed = sample.parse(sample.with_main(UN_XML.replace("SYe.002", "FRi.001").encode()))
    assert [entry.entry_id for entry in parsed.entries] == ["FRi.001", "FRi.001/7000002"]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            'AliasType ID="1403"',
            'AliasType ID="1499"',
            "uses the AliasType '1403', which it does not",
        ),
        ('LocationID="22"', 'LocationID="23"', "party 502 has an unknown location"),
        ('ProfileID="502"', 'ProfileID="999"', "has an entry of party 999, which is not there"),
        (">Individual<", ">Robot<", "party 501 has the unknown type 'Robot'"),
        ("MARVELLA STAR", "", "503 has no name"),
        ('CountryID="12"', 'CountryID="99"', "uses the Country '99', which it does not explain"),
    ],
)
def test_advanced_xml_that_does_not_hold_together(before: str, after: str, says: str) -> None:
    assert before in OFAC_XML
    said = refusal(SAMPLES["OFAC advanced XML"], OFAC_XML.replace(before, after).encode())
    assert said.startswith(f"{ofac_xml.FILE} {says}")


@pytest.mark.parametrize(
    ("name", "text", "before", "after", "says"),
    [
        (
            "EU CSV",
            EU_CSV,
            "NameAlias_WholeName",
            "Name",
            "has no column 'NameAlias_WholeName': it",
        ),
        ("EU CSV", EU_CSV, ";14;", ";;", "row 8 has no Entity_LogicalId"),
        ("EU CSV", EU_CSV, ";E;enterprise;", ";X;x;", "14 has the unknown type 'x'"),
        ("EU CSV", EU_CSV, "Drellow Trading", "", "14 has no name"),
        ("EU CSV", EU_CSV, '"The ""', '"The "', "line 3: ';' expected after '\"'"),
        ("UK CSV", UK_CSV, "Regime Name", "Regime", "has no column 'Regime Name': it is another"),
        ("UK CSV", UK_CSV, ",MUP0003", ",", "row 5 has no Unique ID"),
        ("UK CSV", UK_CSV, ",Ship,", ",Rocket,", "MUP0003 has the unknown type 'Rocket'"),
        ("UK CSV", UK_CSV, "MARVELLA STAR", "", "MUP0003 has no name"),
    ],
)
def test_columns_that_are_refused(name: str, text: str, before: str, after: str, says: str) -> None:
    assert before in text
    sample = SAMPLES[name]
    said = refusal(sample, text.replace(before, after).encode())
    assert said.startswith(f"{sample.file} {says}")


def test_rows_and_records_at_their_limits() -> None:
    eu, uk = (SAMPLES[name].files for name in WITH_HEADER)
    assert len(eu_csv.parse(eu, max_rows=10).entries) == 2
    with pytest.raises(BrokenListError, match=r"^eu.csv has more than 9 rows$"):
        eu_csv.parse(eu, max_rows=9)
    assert len(uk_csv.parse(uk, max_rows=7).entries) == 3
    with pytest.raises(BrokenListError, match=r"^uk.csv has more than 6 rows$"):
        uk_csv.parse(uk, max_rows=6)
    un, ofac = (SAMPLES[name].files for name in ("UN XML", "OFAC advanced XML"))
    assert len(un_xml.parse(un, max_records=2).entries) == 2
    with pytest.raises(BrokenListError, match=r"^consolidated.xml has more than 1 records$"):
        un_xml.parse(un, max_records=1)
    assert len(ofac_xml.parse(ofac, max_records=22).entries) == 3
    with pytest.raises(BrokenListError, match=r"^advanced.xml has more than 21 records$"):
        ofac_xml.parse(ofac, max_records=21)


def test_a_field_at_its_limit() -> None:
    sample = SAMPLES["UK CSV"]
    for length in (MAX_FIELD_CHARACTERS, MAX_FIELD_CHARACTERS + 1):
        content = UK_CSV.replace("DRELLOW TRADING", "D" * length).encode()
        if length == MAX_FIELD_CHARACTERS:
            assert len(sample.parse(sample.with_main(content)).entries) == 3
        else:
            assert "field larger than field limit" in refusal(sample, content)


@pytest.mark.parametrize(
    ("inside", "outside", "limit", "says"),
    [
        ("<A>", "</A>", elements.MAX_DEPTH - 1, "elements are nested more than 64 deep"),
        ("<ENTITY>" + "<A/>" * (elements.MAX_ELEMENTS_PER_RECORD - 2), "</ENTITY>", 1, "elements"),
        (
            "<ENTITY>" + "x" * (elements.MAX_TEXT_CHARACTERS_PER_RECORD - 1),
            "</ENTITY>",
            1,
            "charac",
        ),
    ],
)
def test_what_one_record_may_take(inside: str, outside: str, limit: int, says: str) -> None:
    """At the limit it is read, one beyond it is refused."""

    def read(content: str) -> int:
        document = f"<L>{content}</L>".encode()
        return len(list(elements.records("list.xml", document, "L", ["ENTITY"])))

    if limit > 1:
        assert read(inside * limit + outside * limit) == 0
        broken = inside * (limit + 1) + outside * (limit + 1)
    else:
        more = "<A>y</A>" if says == "charac" else "<A/>"
        assert read(inside + more + outside) == 1
        broken = inside + more + more + outside
    with pytest.raises(BrokenListError, match=says):
        read(broken)


def test_prefixes_and_chunks_change_nothing() -> None:
    """Records are found whatever stands around them, and however the bytes fall."""
    filling = "<x/>" * (elements.CHUNK_BYTES // 2)
    document = f"<p:L xmlns:p='q'>{filling}<p:E>a<p:F/>b</p:E>{filling}<E>c</E></p:L>".encode()
    found = list(elements.records("list.xml", document, "L", ["E"]))
    assert [("".join(one.itertext()), one.tag) for one in found] == [("ab", "E"), ("c", "E")]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1961-03-07", "1961-03-07"),
        ("1961-03", "1961-03"),
        ("1961", "1961"),
        ("1961-13-07", "1961"),
        ("1961-03-32", "1961-03"),
        ("1961-03-07T00:00:00", "1961-03-07"),
        ("0000-01-01", ""),
        ("circa", ""),
        ("", ""),
    ],
)
def test_iso_dates(text: str, date: str) -> None:
    assert iso_date(text) == date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("07/03/1961", "1961-03-07"),
        ("dd/mm/1961", "1961"),
        ("00/00/1961", "1961"),
        ("dd/03/1961", "1961-03"),
        ("1961", "1961"),
        ("07/03/61", ""),
    ],
)
def test_dates_that_begin_with_the_day(text: str, date: str) -> None:
    assert day_first_date(text) == date


def test_dates_of_parts() -> None:
    assert date_of_parts("1961", "3", "7") == "1961-03-07"
    assert date_of_parts("1961", "", "7") == "1961"
    assert date_of_parts("61", "3", "7") == ""
