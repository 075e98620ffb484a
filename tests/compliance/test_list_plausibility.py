"""Lists that are well-formed and cannot be meant: every quantity, at its edges."""

import pytest

from compliance.screening.entries import BrokenListError
from compliance.screening.plausibility import (
    check_ends,
    check_presence,
    check_shrinking,
    quantities_of,
)
from compliance.screening.sdn import parse
from tests.compliance.test_sdn_format import files, row

KINDS = ["entries", "aliases", "weak aliases", "birth dates", "countries", "rows of add.csv"]
ENTRIES = 200


def list_files(count: int = ENTRIES) -> dict[str, str]:
    """A list in which each second entry has an alias, and each has an address."""
    remarks = "\"DOB 1970; a.k.a. 'WEAK'.\""
    numbers = range(1000, 1000 + count)
    return {
        "sdn": "\r\n".join(row(number, remarks=remarks) for number in numbers),
        "alt": "\r\n".join(f'{n},{n},"aka","ALIAS, Some",-0- ' for n in numbers if n % 2 == 0),
        "add": "\r\n".join(f'{n},{n},-0- ,-0- ,"Cuba",-0- ' for n in numbers),
    }


def half(text: str, *, first: bool = True) -> str:
    lines = text.split("\r\n")
    middle = len(lines) // 2
    return "\r\n".join(lines[:middle] if first else lines[middle:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("before", "now", "is_believed"),
    [(100, 80, True), (100, 79, False), (2, 1, True), (1, 0, True), (2, 0, False), (0, 9, True)],
)
def test_what_is_left_of_each_quantity(kind: str, before: int, now: int, is_believed: bool) -> None:
    counts = dict.fromkeys(KINDS, 100)
    if is_believed:
        check_shrinking({**counts, kind: before}, {**counts, kind: now})
        return
    with pytest.raises(BrokenListError, match=f"^{now} {kind} are left of {before}$"):
        check_shrinking({**counts, kind: before}, {**counts, kind: now})


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_list_without_anything_of_a_kind_is_refused_from_the_first_on(kind: str) -> None:
    counts = dict.fromkeys(KINDS, 100)
    check_presence(counts)
    check_presence({**counts, "entries": 4, kind: 0})
    with pytest.raises(BrokenListError, match=f"^100 entries are there, but no {kind}$"):
        check_presence({**counts, kind: 0})


def test_short_lists_need_no_weak_aliases_and_dates() -> None:
    counts = dict.fromkeys(KINDS, 99)
    check_presence({**counts, "weak aliases": 0, "birth dates": 0})


def test_a_whole_list_is_counted_and_believed() -> None:
    parsed = parse(files(**list_files()))
    assert parsed.quantities == {
        "entries": 200,
        "aliases": 100,
        "weak aliases": 200,
        "birth dates": 200,
        "countries": 200,
        "rows of sdn.csv": 200,
        "rows of alt.csv": 100,
        "rows of add.csv": 200,
    }
    assert quantities_of(parsed.entries).items() <= parsed.quantities.items()
    check_presence(parsed.quantities)


@pytest.mark.parametrize("name", ["alt", "add"])
def test_an_empty_file_is_refused_at_the_first_load(name: str) -> None:
    with pytest.raises(BrokenListError, match="200 entries are there, but no"):
        check_presence(parse(files(**{**list_files(), name: ""})).quantities)


@pytest.mark.parametrize("name", ["alt", "add"])
@pytest.mark.parametrize(("first", "end"), [(True, "last"), (False, "first")])
def test_half_a_file_is_refused_at_the_first_load(name: str, first: bool, end: str) -> None:
    given = list_files()
    with pytest.raises(
        BrokenListError, match=f"{name}.csv has nothing of the {end} .*: it was cut"
    ):
        parse(files(**{**given, name: half(given[name], first=first)}))


def test_the_edges_of_a_file_that_was_cut() -> None:
    numbers = range(100)
    check_ends("alt.csv", numbers, range(20, 80))
    for named in (range(79), range(21, 100)):
        with pytest.raises(BrokenListError, match="21 entries"):
            check_ends("alt.csv", numbers, named)
        check_ends("alt.csv", numbers[:99], [named[0], named[-1]] if named[0] == 0 else [20, 98])
