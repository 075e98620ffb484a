"""Words of the list are told from typing errors, and spellings of one name from other names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.index import NameIndex, ScreenedPerson
from compliance.screening.packed import Packed, Packing
from compliance.screening.spelling import ListedWords, is_spelling_of, pack_words, sounds

THRESHOLD = 0.85
_WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)


def entry(number: int, name: str) -> Entry:
    return Entry(str(number), EntryKind.PERSON, (EntryName(name, "name"),), (), (), ())


def found(index: NameIndex, name: str) -> list[str]:
    hits = index.search(ScreenedPerson((name,), True, "", ""), THRESHOLD)
    return [hit.entry.entry_id for hit in hits]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("mohamed", "muhammad"), ("yusuf", "jusuf"), ("khaled", "haled"), ("walid", "valid")],
        *[("jamal", "gamal"), ("djamel", "jamal"), ("qasim", "kassem"), ("bogdan", "bohdan")],
        *[("ramadan", "ramazan"), ("petrov", "petroff"), ("schmidt", "shmit"), ("jong", "chong")],
        *[("abdelrahman", "abdurrahman"), ("alexander", "aleksandr"), ("ivan", "ivana")],
        *[("christian", "kristian"), ("park", "pak"), ("javad", "jawad"), ("othman", "osman")],
    ],
)
def test_usual_spellings_of_one_name(one: str, other: str) -> None:
    assert is_spelling_of(one, other)
    assert is_spelling_of(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("kong", "nong"), ("shahram", "bahram"), ("saqr", "sadr"), ("yuan", "quan")],
        *[("simonov", "samsonov"), ("farahani", "farhadi"), ("ho", "so"), ("rosas", "tosan")],
    ],
)
def test_words_of_other_sounds(one: str, other: str) -> None:
    assert not is_spelling_of(one, other)


@given(_WORD, _WORD)
def test_a_word_is_its_own_spelling_and_either_side_says_the_same(one: str, other: str) -> None:
    assert is_spelling_of(one, one)
    assert is_spelling_of(one, other) == is_spelling_of(other, one)


@given(_WORD, st.sampled_from("aeiouy"))
def test_a_vowel_behind_makes_no_other_word(word: str, vowel: str) -> None:
    assert sounds(word + vowel) == sounds(word) or word.endswith(
        ("t", "c", "s", "d", "p", "k", "g", "w")
    )


@given(st.sets(_WORD), _WORD, st.lists(_WORD, max_size=3))
def test_only_a_word_of_the_list_is_another(words: set[str], word: str, listed: list[str]) -> None:
    packing = Packing()
    pack_words(packing, "words", words)
    known = ListedWords(Packed(memoryview(packing.to_bytes())), "words")
    assert (word in known) == (word in words)
    assert known.is_another(word, listed) == (
        word in words and not any(is_spelling_of(word, other) for other in listed)
    )


def test_a_typing_error_is_found_and_a_name_of_somebody_else_on_the_list_is_not() -> None:
    farhadi = entry(1, "FARHADI, Rouhollah")
    assert found(NameIndex.of([farhadi]), "Rouhollah Farahani") == ["1"]
    index = NameIndex.of([farhadi, entry(2, "FARAHANI, Zulibat")])
    assert found(index, "Rouhollah Farahani") == []
    assert found(index, "Rouhollah Farahadi") == ["1"]


def test_another_spelling_is_found_though_both_are_of_the_list() -> None:
    index = NameIndex.of([entry(1, "GAMAL, Zulibat"), entry(2, "JAMAL, Kvortena")])
    assert found(index, "Zulibat Jamal") == ["1"]


def test_names_of_nearly_the_same_letters_are_others_if_all_that_differs_is_listed() -> None:
    ryong = entry(1, "SO, Ryong Tae")
    assert found(NameIndex.of([ryong]), "Ho Ryong Pae") == ["1"]
    others = [entry(2, "HO, Zulibat"), entry(3, "PAE, Kvortena")]
    assert found(NameIndex.of([ryong, *others]), "Ho Ryong Pae") == []
    # One of them may be an error.
    assert found(NameIndex.of([ryong, others[0]]), "Ho Ryong Pae") == ["1"]


def test_a_part_of_a_list_knows_the_words_of_the_whole() -> None:
    new, others = entry(1, "FARHADI, Rouhollah"), [entry(2, "FARAHANI, Zulibat")]
    assert found(NameIndex.of([new], others), "Rouhollah Farahani") == []
    assert found(NameIndex.of([new], others), "Zulibat Farahani") == []


_NAMES = st.lists(
    st.lists(
        st.sampled_from(["farhadi", "farahani", "jamal", "gamal", "rouhollah", "ho", "so"]),
        min_size=1,
        max_size=4,
    ).map(" ".join),
    min_size=2,
    max_size=8,
)


@given(_NAMES, st.integers(1, 7), st.data())
def test_a_part_with_the_rest_beside_finds_what_the_whole_finds_of_it(
    names: list[str], size: int, data: st.DataObject
) -> None:
    entries = [entry(number, name) for number, name in enumerate(names)]
    part, rest = entries[:size], entries[size:]
    asked = data.draw(st.sampled_from(names)) + data.draw(st.sampled_from(["", "x", " jamal"]))
    wanted = {one.entry_id for one in part}
    assert sorted(found(NameIndex.of(part, rest), asked)) == sorted(
        entry_id for entry_id in found(NameIndex.of(entries), asked) if entry_id in wanted
    )
