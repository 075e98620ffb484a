"""The given name that somebody is called by, and what it takes if the other is not called so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.given_names import NOT_CALLED_SO, called_by, what_it_takes
from compliance.screening.index import NameIndex, ScreenedPerson, family_words
from compliance.screening.names import normalise
from compliance.screening.scoring import MatchedPart

THRESHOLD = 0.85


def best(screened: str, *listed: str, birth_date: str = "") -> float:
    """The score against the first of the listed names."""
    index = NameIndex.of(
        Entry(str(n), EntryKind.PERSON, (EntryName(name, "name"),), (), ("1971-03-05",), ())
        for n, name in enumerate(listed)
    )
    hits = index.search(ScreenedPerson((screened,), True, birth_date, ""), 0.5)
    return max((hit.score for hit in hits if hit.entry.entry_id == "0"), default=0.0)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("KHADEMI, Akbar Hamidreza", "akbar"),
        ("Akbar Hamidreza Khademi", "akbar"),
        ("MUBARAK, Muhammad Hosni", "hosni"),
        ("Mohd. Hosni Mubarak", "hosni"),
        ("Abu Umar Khalid al-Shami", "khalid"),
        ("AL-AHDAL, Abd al-Hussein", "hussein"),
        ("LOPEZ, Jose Antonio", "antonio"),
        ("J. Antonio Lopez", "antonio"),
        ("MUHAMMAD, Mohammed", ""),
        ("ZENTRAVE", "zentrave"),
        ("ZENTRAVE,", ""),
    ],
)
def test_the_first_given_name_but_for_what_is_put_before_it(name: str, called: str) -> None:
    normal = normalise(name, is_person=True)
    assert called_by(normal, family_words(name, is_person=True)) == called


@pytest.mark.parametrize(
    ("screened", "listed"),
    [
        # A part of a name, in which both are called the same.
        ("Akbar Khademi", "KHADEMI, Akbar Hamidreza"),
        ("Akbar Hamidreza Khademi", "KHADEMI, Akbar"),
        ("Hosni Mubarak", "MUBARAK, Muhammad Hosni El Sayed"),
        ("Antonio Zentrave", "ZENTRAVE, Jose Antonio"),
        ("Khademi Akbar Hamidreza", "KHADEMI, Akbar"),
        ("A. Hamidreza Khademi", "KHADEMI, Akbar Hamidreza"),
        ("Khademi, Akbar", "KHADEMI, Akbar Hamidreza"),
    ],
)
def test_who_is_called_the_same_is_found_by_a_part_of_the_name(screened: str, listed: str) -> None:
    assert best(screened, listed) >= THRESHOLD


@pytest.mark.parametrize(
    ("screened", "listed"),
    [
        ("Hamidreza Khademi", "KHADEMI, Akbar Hamidreza"),
        ("Zulibat Muhammad Mansour", "MANSOUR, Muhammad"),
    ],
)
def test_who_is_called_otherwise_is_found_with_the_birth_date_only(
    screened: str, listed: str
) -> None:
    crowd = "KVORTENA, Zulibat"
    assert best(screened, listed, crowd) < THRESHOLD
    assert best(screened, listed, crowd, birth_date="1971-03-05") >= THRESHOLD
    assert best(screened, listed, crowd, birth_date="1985-03-05") < THRESHOLD


def test_a_word_that_is_no_name_of_the_list_hides_nobody() -> None:
    assert best("Zulibat Muhammad Mansour", "MANSOUR, Muhammad") >= THRESHOLD


def test_a_whole_name_is_found_whoever_is_called_what() -> None:
    for screened in (
        "Akbar Hamidreza Khademi",
        "Khademi Hamidreza Akbar",
        "Hamidreza Akbar Khademi",
    ):
        assert best(screened, "KHADEMI, Akbar Hamidreza", "HAMIDREZA, Zulibat") == 1.0


_WORDS = st.sampled_from(["akbar", "hamidreza", "khademi", "abd al", "muhammad", "abu", "x"])


@given(st.lists(_WORDS, min_size=1, max_size=5))
def test_what_somebody_is_called_is_a_word_of_the_name(words: list[str]) -> None:
    normal = normalise(" ".join(words), is_person=True)
    called = called_by(normal)
    assert called == "" or called in normal.tokens
    parts = tuple(MatchedPart(token, token, 1.0) for token in normal.tokens)
    assert what_it_takes(parts, called, called) == 0.0
    others = (MatchedPart("o", "o", 1.0), MatchedPart("u", "u", 1.0))
    for left_out in ((called, ""), ("", called), (called, called)):
        assert what_it_takes(others, *left_out) == (NOT_CALLED_SO if called else 0.0)
        assert what_it_takes(others[:1], *left_out) == 0.0
