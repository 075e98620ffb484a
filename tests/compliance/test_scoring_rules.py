"""Which words are alike, and what dates and countries say: rules at their edges."""

import pytest

from compliance.screening.names import GENERIC_WEIGHT, normalise, weight
from compliance.screening.scoring import (
    Explanation,
    MatchedPart,
    birth_date_effect,
    compare_names,
    country_effect,
    token_similarity,
)


def score(first: str, second: str) -> float:
    one, other = (normalise(name, is_person=False) for name in (first, second))
    return compare_names(one, other)[0]


@pytest.mark.parametrize(
    ("first", "second"), [("1234567", "1234568"), ("12345", "kvorten"), ("kvorten", "12345")]
)
def test_a_number_is_like_itself_alone(first: str, second: str) -> None:
    assert token_similarity(first, first) == 1.0
    assert token_similarity(first, second) == 0.0


def test_a_number_in_a_name_tells_two_companies_apart() -> None:
    assert score("Zentrave 1405", "Zentrave 1405") == 1.0
    assert score("Zentrave 1405", "Zentrave 1406") < 0.7
    assert score("Zentrave 1405", "Zentrave Kvort") < 0.7


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("ali", "alo", False),
        ("alis", "ali", True),
        ("li", "lian", False),
        ("kvort", "kvorf", True),
    ],
)
def test_short_words_have_to_be_equal(first: str, second: str, alike: bool) -> None:
    assert (token_similarity(first, second) > 0) is alike


@pytest.mark.parametrize(
    ("listed", "effect"),
    [
        ((), 0.0),
        (("1950-01-01", "1971-03-05"), 0.05),
        (("1971-03-05", "1950-01-01"), 0.05),
        (("1950", "1972"), 0.0),
        (("1973",), 0.0),
        (("1969",), 0.0),
        (("1968",), -0.15),
        (("1974", "1950"), -0.15),
        (("1971-03",), 0.05),
    ],
)
def test_the_nearest_of_several_birth_dates_counts(listed: tuple[str, ...], effect: float) -> None:
    assert birth_date_effect("1971-03-05", listed) == effect
    assert birth_date_effect("", listed) == 0.0


def test_one_of_the_countries_is_enough() -> None:
    assert country_effect("RU", ("de", "ru")) == 0.02
    assert country_effect("RU", ("de", "fr")) == -0.05
    assert country_effect("", ("ru",)) == country_effect("RU", ()) == 0.0


@pytest.mark.parametrize(
    ("name", "birth", "country", "expected"),
    [(0.99, 0.05, 0.02, 1.0), (0.1, -0.15, -0.02, 0.0), (0.9, -0.15, 0.02, 0.77)],
)
def test_a_score_is_what_all_say_between_0_and_1(
    name: float, birth: float, country: float, expected: float
) -> None:
    assert Explanation("a", "b", "name", (), name, birth, country).score == expected


def test_long_words_say_more_and_generic_ones_little() -> None:
    assert [weight(word) for word in ("a", "kvor", "abcdefgh", "abcdefghi")] == [
        *(1.0, 2.0, 8**0.5, 8**0.5)
    ]
    assert weight("trading") == GENERIC_WEIGHT == 0.3


@pytest.mark.parametrize("other", ["123456", "12345x"])
def test_a_number_is_never_nearly_alike(other: str) -> None:
    assert token_similarity("123457", other) == token_similarity(other, "123457") == 0.0


KVORTEN, ZULIBAT = MatchedPart("kvorten", "kvorten", 1.0), MatchedPart("zulibat", "zulibat", 1.0)


@pytest.mark.parametrize(
    ("first", "second", "expected", "parts"),
    [
        ("", "Kvorten", 0.0, ()),
        ("Kvorten", "", 0.0, ()),
        ("Kvorten", "Maprot Zulibat", 0.0, ()),
        # In the order of the first name, whatever the other's.
        ("Kvorten Zulibat", "Zulibat Kvorten", 1.0, (KVORTEN, ZULIBAT)),
        # Each word counts once: 2 of the 3 words there are.
        ("Kvorten", "Kvorten Kvortan", 2 / 3, (KVORTEN,)),
        ("Kvorten Kvortan", "Kvorten", 2 / 3, (KVORTEN,)),
        # One letter of nine: half of 8/9, and half of Jaro-Winkler's 25/27 + 4 * 0.1 * 2/27.
        ("abcdefghi", "abcdefghx", 0.9222, (MatchedPart("abcdefghi", "abcdefghx", 0.9222),)),
        # 4 of 5 words; or all of two, less 0.2 of what is missing.
        ("Kvorten Zulibat", "Kvorten Zulibat Maprotu", 0.96, (KVORTEN, ZULIBAT)),
        # Where words begin elsewhere: one letter of thirteen.
        (
            *("abcdefghijklm", "abcdef ghijklx", 12 / 13),
            (MatchedPart("abcdefghijklm", "abcdef ghijklx", 0.9231),),
        ),
    ],
)
def test_which_words_make_two_names_alike(
    first: str, second: str, expected: float, parts: tuple[MatchedPart, ...]
) -> None:
    one, other = (normalise(name, is_person=False) for name in (first, second))
    found, matched = compare_names(one, other)
    assert found == pytest.approx(expected)
    assert matched == parts
