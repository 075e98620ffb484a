"""Companies by an initial or by their initials: found while what is left fits few of the list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.screening.abbreviated import (
    MAX_ENTRIES,
    MAX_ENTRIES_BY_ONE_WORD,
    MAX_INITIALS,
    MIN_INITIALS,
    initials_of,
    may_be_initials,
)
from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.index import Hit, NameIndex, ScreenedPerson
from compliance.screening.names import NormalName, normalise

THRESHOLD = 0.85
LINES = "ISLAMIC REPUBLIC OF IRAN SHIPPING LINES"


def entry(number: int, name: str, kind: EntryKind = EntryKind.ORGANIZATION) -> Entry:
    return Entry(str(number), kind, (EntryName(name, "name"),), (), (), ())


def index(*names: str) -> NameIndex:
    return NameIndex.of(entry(number, name) for number, name in enumerate(names))


def hits(of: NameIndex, name: str, *, is_person: bool | None = False) -> list[Hit]:
    return of.search(ScreenedPerson((name,), is_person, "", ""), THRESHOLD)


def found(of: NameIndex, name: str, *, is_person: bool | None = False) -> list[str]:
    return sorted(hit.entry.entry_id for hit in hits(of, name, is_person=is_person))


@pytest.mark.parametrize(
    ("screened", "initial"),
    [
        ("M. Hosseini Trading", "m"),
        ("M Hosseini Trading LLC", "m"),
        ("Hosseini M. Trading", "m"),
        ("Mahan H. Trading", "h"),
    ],
)
def test_an_initial_is_found_while_the_other_words_say_who_it_is(
    screened: str, initial: str
) -> None:
    of = index("MAHAN HOSSEINI TRADING LLC", "MISR TRADING", "ZULIBAT HOSSEINI SHIPPING")
    (hit,) = hits(of, screened)
    assert hit.entry.entry_id == "0"
    parts = {part.subject_part: part.list_part for part in hit.explanation.parts}
    assert parts[initial] == {"m": "mahan", "h": "hosseini"}[initial]
    assert parts["trading"] == "trading"


def test_an_initial_that_fits_more_than_a_few_finds_none() -> None:
    names = [f"M{letter}HAN TRADING SHIPPING" for letter in "AEIO"]
    assert len(names) == MAX_ENTRIES + 1
    assert found(index(*names), "M. Trading Shipping") == []
    of = index(*names[:MAX_ENTRIES])
    assert found(of, "M. Trading Shipping") == ["0", "1", "2"]
    few, single = hits(of, "M. Trading Shipping"), hits(index(names[0]), "M. Trading Shipping")
    assert few[0].score < single[0].score


def test_with_one_other_word_it_has_to_be_rarer_and_no_generic_one() -> None:
    names = [f"M{letter}HAN ZULIBAT" for letter in "AEI"]
    assert len(names) == MAX_ENTRIES_BY_ONE_WORD + 1
    assert found(index(*names), "M. Zulibat") == []
    assert found(index(*names[:MAX_ENTRIES_BY_ONE_WORD]), "M. Zulibat") == ["0", "1"]
    assert found(index("MAHAN SHIPPING"), "M. Shipping") == []
    assert found(index("MAHAN SHIPPING"), "M.") == []


def test_names_of_one_entry_count_once() -> None:
    one = Entry(
        "0",
        EntryKind.ORGANIZATION,
        tuple(EntryName(f"M{letter}HAN TRADING SHIPPING", "a.k.a.") for letter in "AEIOU"),
        *((), (), ()),
    )
    assert found(NameIndex.of([one]), "M. Trading Shipping") == ["0"]


def test_an_initial_of_another_letter_or_with_other_words_is_another_company() -> None:
    of = index("MAHAN HOSSEINI TRADING")
    for name in ("N. Hosseini Trading", "M. Hosseini Shipping", "M. Hosseini Trading Zulibat"):
        assert found(of, name) == []


def test_ships_and_people_are_not_looked_for_so() -> None:
    for kind in (EntryKind.VESSEL, EntryKind.PERSON):
        of = NameIndex.of([entry(0, "ISLAMIC REPUBLIC IRAN SHIPPING LINES", kind)])
        assert found(of, "IRISL") == []
    of = index("MAHAN HOSSEINI ZULIBAT")
    assert found(of, "M. Hosseini Zulibat", is_person=None) == ["0"]


def test_initials_are_found_for_the_name_and_the_name_for_initials() -> None:
    assert found(index(LINES), "IRISL") == ["0"]
    assert found(index(LINES), "I.R.I.S.L. Co. Ltd") == ["0"]
    assert found(index("IRISL"), "Islamic Republic of Iran Shipping Lines") == ["0"]
    (hit,) = hits(index(LINES), "IRISL")
    (part,) = hit.explanation.parts
    assert (part.subject_part, part.list_part) == (
        "irisl",
        "islamic republic of iran shipping lines",
    )


@pytest.mark.parametrize("count", [MIN_INITIALS - 1, MIN_INITIALS, MAX_INITIALS, MAX_INITIALS + 1])
def test_initials_are_of_so_many_words(count: int) -> None:
    name = NormalName(tuple(f"{chr(ord('b') + n)}ortena" for n in range(count)))
    is_one = MIN_INITIALS <= count <= MAX_INITIALS
    assert len(initials_of(name)) == (count if is_one else 0)
    assert may_be_initials(NormalName(("b" * count,))) is is_one
    assert not may_be_initials(NormalName(("b" * 5, "c")))


def test_a_part_of_a_list_counts_the_others() -> None:
    new, *others = [entry(n, f"M{letter}HAN TRADING SHIPPING") for n, letter in enumerate("AEIO")]
    assert found(NameIndex.of([new], others), "M. Trading Shipping") == []
    assert found(NameIndex.of([new], others[:2]), "M. Trading Shipping") == ["0"]


_WORDS = st.sampled_from(["mahan", "misr", "kedr", "trading", "shipping", "zulibat", "ltd"])


@given(
    st.lists(st.lists(_WORDS, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=8),
    st.data(),
)
def test_who_is_found_by_an_initial_is_who_it_fits(names: list[str], data: st.DataObject) -> None:
    words = normalise(data.draw(st.sampled_from(names)), is_person=False).tokens
    place = data.draw(st.integers(0, len(words) - 1))
    asked = [*words[:place], words[place][0], *words[place + 1 :]]
    rest = sorted([*words[:place], *words[place + 1 :]])
    fits = {
        str(number)
        for number, name in enumerate(names)
        for tokens in [normalise(name, is_person=False).tokens]
        for n, token in enumerate(tokens)
        if token[0] == words[place][0] and sorted([*tokens[:n], *tokens[n + 1 :]]) == rest
    }
    most = MAX_ENTRIES if len(rest) > 1 else MAX_ENTRIES_BY_ONE_WORD
    is_telling = len(rest) > 1 or (
        len(rest) == 1 and rest[0] in ("mahan", "misr", "kedr", "zulibat")
    )
    if is_telling and len(fits) <= most and len(words[place]) > 1:
        assert fits <= set(found(index(*names), " ".join(asked)))
