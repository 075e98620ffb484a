"""OFAC's CSV format, with what real files and broken ones do."""

from pathlib import Path

import pytest

from compliance.screening.entries import BrokenListError, Entry, EntryKind, EntryName
from compliance.screening.sdn import parse as parse_list


def parse(files: dict[str, bytes]) -> tuple[Entry, ...]:
    return parse_list(files).entries


SDN_ROW = '{number},"{name}",{kind},"{programs}",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,{remarks}'


def row(
    number: int = 1,
    name: str = "DOE, Jane",
    kind: str = '"individual"',
    programs: str = "TEST",
    remarks: str = "-0- ",
) -> str:
    return SDN_ROW.format(number=number, name=name, kind=kind, programs=programs, remarks=remarks)


def files(
    sdn: str | bytes, alt: str | bytes = b"", add: str | bytes = b"", **more: str
) -> dict[str, bytes]:
    given = {"sdn.csv": sdn, "alt.csv": alt, "add.csv": add}
    given.update({f"{name}.csv": content for name, content in more.items()})
    return {
        name: content.encode() if isinstance(content, str) else content
        for name, content in given.items()
    }


def test_the_synthetic_list_is_whole() -> None:
    folder = Path("compliance/data/sdn")
    entries = parse(
        {name: (folder / name).read_bytes() for name in ("sdn.csv", "alt.csv", "add.csv")}
    )
    assert [entry.kind for entry in entries].count(EntryKind.PERSON) == 3
    assert {EntryKind.VESSEL, EntryKind.AIRCRAFT} < {entry.kind for entry in entries}
    first = entries[0]
    assert first.names == (
        EntryName("ZZTEST, Blocked", "name"),
        EntryName("ZEDTEST, Blocked", "a.k.a."),
        EntryName("THE SAMPLE", "weak a.k.a."),
    )
    assert (first.birth_dates, first.countries) == (("1960-07-12",), ("Iran",))


def test_nulls_quotes_commas_and_line_ends_inside_quotes() -> None:
    (entry,) = parse(
        files(
            row(name='THE ""BIG"" ONE, LLC', kind="-0- ", remarks='"Line one,\r\nline two."'),
            '1,10,"aka","BIG, ONE",-0- \r\n1,11,"fka",-0- ,-0- \r\n',
            '1,20,-0- ,-0- ,-0- ,-0- \r\n1,21,"Street ""5""","Town","Cuba",-0- \r\n',
        )
    )
    assert entry.kind is EntryKind.ORGANIZATION
    assert [name.text for name in entry.names] == ['THE "BIG" ONE, LLC', "BIG, ONE"]
    assert entry.countries == ("Cuba",)


def test_programs_are_split() -> None:
    (entry,) = parse(files(row(programs="SDGT] [IFSR] [NPWMD")))
    assert entry.programs == ("SDGT", "IFSR", "NPWMD")


@pytest.mark.parametrize(
    ("remarks", "dates"),
    [
        ("DOB 12 Jul 1960; POB Town.", ("1960-07-12",)),
        ("DOB 5 Jan 1960.", ("1960-01-05",)),
        ("DOB Jul 1960; alt. DOB 1961.", ("1960-07", "1961")),
        ("DOB circa 1960.", ("1960",)),
        ("POB 1960 Street.", ()),
    ],
)
def test_birth_dates_in_remarks(remarks: str, dates: tuple[str, ...]) -> None:
    (entry,) = parse(files(row(remarks=f'"{remarks}"')))
    assert entry.birth_dates == dates


def test_remarks_go_on_in_the_comments_file() -> None:
    (entry,) = parse(
        files(row(remarks="\"POB Town; a.k.a. 'ONE';\""), sdn_comments="1,\" a.k.a. 'TWO'.\"\r\n")
    )
    assert [name.text for name in entry.names[1:]] == ["ONE", "TWO"]


@pytest.mark.parametrize(
    ("remarks", "aliases"),
    [
        ("a.k.a. 'ONE'.", ["ONE"]),
        ("a.k.a. 'ONE'; a.k.a. 'TWO'", ["ONE", "TWO"]),
        ("DOB 1970; a.k.a. 'AL-SHA'IR'; POB Town.", ["AL-SHA'IR"]),
        ("a.k.a. 'ABU 'ALI'; a.k.a. 'SA'D 'ABD'.", ["ABU 'ALI", "SA'D 'ABD"]),
        ("a.k.a. ''UQBA'; nationality Iran.", ["UQBA"]),
        ("a.k.a. ''DOUBLED''.", ["DOUBLED"]),
        ("a.k.a. 'DR. NO'.", ["DR. NO"]),
        ("a.k.a. 'ONE' (Arabic); alt. a.k.a. 'TWO'.", ["ONE", "TWO"]),
        ("a.k.a. ''; POB Town.", []),
        ("POB O'Town; nationality Iran.", []),
    ],
)
def test_weak_aliases_with_apostrophes_are_whole(remarks: str, aliases: list[str]) -> None:
    (entry,) = parse(files(row(remarks=f'"{remarks}"')))
    assert [name.text for name in entry.names[1:]] == aliases
    assert {name.type for name in entry.names[1:]} <= {"weak a.k.a."}


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\r\n\x1a", "\x1a\r\n", "\r\n\r\n"])
def test_endings(ending: str) -> None:
    assert len(parse(files(row() + "\r\n" + row(2) + ending, ending))) == 2


def test_character_sets() -> None:
    name = "MÜLLER, José"
    utf8 = files(("\ufeff" + row(name=name)).encode())
    windows = files(row(name=name).encode("cp1252"))
    assert parse(utf8)[0].name == parse(windows)[0].name == name


def test_entries_are_sorted_and_hashes_follow_contents() -> None:
    first = parse(files(row(10) + "\n" + row(9)))
    second = parse(files(row(9) + "\n" + row(10, remarks='"DOB 1970."')))
    assert [entry.entry_id for entry in first] == ["9", "10"]
    assert first[0].content_hash == second[0].content_hash
    assert first[1].content_hash != second[1].content_hash


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"sdn.csv": row().encode()}, "alt.csv is missing"),
        ({}, "sdn.csv is missing"),
        (files(""), "sdn.csv is empty"),
        (files("\x1a"), "sdn.csv is empty"),
        (files("<html>not a list</html>"), "sdn.csv line 1 has 1 columns, not 12"),
        (files(row() + "\n" + row(2)[:-12]), "sdn.csv line 2 has 10 columns, not 12"),
        (files(row() + ",-0- "), "sdn.csv line 1 has 13 columns, not 12"),
        (files(row() + '\n2,"DOE, Jo'), "sdn.csv ends inside quotes: it was cut off"),
        (files('1,"A"x,' + "-0- ," * 9 + "-0-"), "sdn.csv line 1: ',' expected after '\"'"),
        (files(row().replace("1,", "ent_num,", 1)), "sdn.csv line 1 has no number in column 1"),
        (files(row() + "\n" + row()), "sdn.csv has an ent_num twice"),
        (files(row(name="-0-")), "sdn.csv ent_num 1 has no name"),
        (files(row(kind='"starship"')), "sdn.csv ent_num 1 has the unknown type 'starship'"),
        # Cut off between two lines: the other files still name what is gone.
        (files(row(), '2,10,"aka","X",-0- '), "alt.csv has ent_num 2, which sdn.csv lacks"),
        (files(row(), "", "2,1,-0-,-0-,-0-,-0-"), "add.csv has ent_num 2, which sdn.csv lacks"),
        (files(row(), '1,10,"aka","X"'), "alt.csv line 1 has 4 columns, not 5"),
        (files(b"1,\x81\x8d"), "byte 2 is in no known character set"),
        (files(row(remarks='"' + "x" * 20_001 + '"')), "field larger than field limit (20000)"),
    ],
)
def test_broken_files_are_refused_with_what_is_wrong(broken: dict[str, bytes], says: str) -> None:
    with pytest.raises(BrokenListError) as caught:
        parse(broken)
    assert says in str(caught.value)
