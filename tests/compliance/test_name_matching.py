"""Names that are alike, names that are not, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.screening.countries import country_code
from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.index import NameIndex, ScreenedPerson
from compliance.screening.names import fold, normalise
from compliance.screening.scoring import compare_names

THRESHOLD = 0.85


def score(first: str, second: str, *, is_person: bool = True) -> float:
    return compare_names(
        normalise(first, is_person=is_person), normalise(second, is_person=is_person)
    )[0]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  José  ÁLVAREZ ", "jose alvarez"),
        ("Ｆｕｌｌ－Ｗｉｄｔｈ", "full width"),
        ("Müller & Söhne", "muller sohne"),
        ("ﬁne Straße", "fine strasse"),
        ("O'Brien", "obrien"),
        ("Квортенгальмен", "kvortengalmen"),
        ("S.A. de C.V.", "sa de cv"),
        ("J. Doe", "j doe"),
        ("", ""),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("Zentrave GmbH & Co. KG", ("zentrave",)),
        ("OOO «Zentrave»", ("zentrave",)),
        ("Zentrave S. A.", ("zentrave",)),
        ("Zentrave S.A.", ("zentrave",)),
        ("Zentrave Limited Liability Company", ("zentrave",)),
        ("Zentrave S.R.O.", ("zentrave",)),
        ("Sp. z o.o. Zentrave", ("zentrave",)),
        ("Limited", ("limited",)),
        ("The Company", ("the",)),
    ],
)
def test_legal_forms_do_not_count(name: str, tokens: tuple[str, ...]) -> None:
    assert normalise(name, is_person=False).tokens == tokens


def test_persons_keep_names_that_look_like_legal_forms() -> None:
    assert normalise("Dr. Ag Sa", is_person=True).tokens == ("ag", "sa")


ALIKE = [
    ("DOE, John Michael", "John Michael Doe"),
    ("Jon Michael Doe", "John Michael Doe"),
    ("Mohammed Al-Farazi", "Muhammad al Farazi"),
    ("Mohammed Alfarazi", "Mohammed Al Farazi"),
    ("KVORTENHALMEN, Ostap Dravisovich", "Ostap Kvortenhalmen"),
    ("Остап Квортенгальмен", "Ostap Kvortenhalmen"),
    ("Kvortenhalmen Ostap", "Ostap Kvortenhalmne"),
    ("José Álvarez Zentrave", "Jose Alvarez-Zentrave"),
]
UNLIKE = [
    ("John Smith", "John Doe"),
    ("John Doe", "Doe"),
    ("Ali Hassan", "Ali Hussein Karim"),
    ("Erika Mustermann", "Erik Musterberg"),
    ("Li Wei", "Li Wen"),
    ("Ostap Kvortenhalmen", "Ostap Dravisovich"),
]
ALIKE_COMPANIES = [
    ("Synthetic Blocked Trading Company LLC", "Synthetic Blocked Trading"),
    ("Zentrave Shipping Ltd.", "ZENTRAVE SHIPPING LIMITED"),
    ("Quolimar Zentrave Holdings", "Quolimar Zentrave Holding S.A."),
    ("ALQAIDAR INDUSTRIES", "Al Qaidar Industries"),
]
UNLIKE_COMPANIES = [
    ("General Trading Company", "General Trading and Shipping Company Zentrave"),
    ("Zentrave International Trading", "Quolimar International Trading"),
    ("National Bank of Zentrave", "National Bank of Quolimar"),
    ("Trading Company LLC", "Shipping Company LLC"),
]


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_alike(first: str, second: str) -> None:
    assert score(first, second) >= THRESHOLD


@pytest.mark.parametrize(("first", "second"), UNLIKE)
def test_near_misses(first: str, second: str) -> None:
    assert score(first, second) < THRESHOLD


@pytest.mark.parametrize(("first", "second"), ALIKE_COMPANIES)
def test_companies_alike(first: str, second: str) -> None:
    assert score(first, second, is_person=False) >= THRESHOLD


@pytest.mark.parametrize(("first", "second"), UNLIKE_COMPANIES)
def test_companies_near_misses(first: str, second: str) -> None:
    assert score(first, second, is_person=False) < THRESHOLD


_names = st.text(max_size=60)


@given(_names, st.booleans())
def test_any_text_can_be_normalised_and_is_like_itself(text: str, is_person: bool) -> None:
    name = normalise(text, is_person=is_person)
    likeness, _ = compare_names(name, name)
    assert likeness == (pytest.approx(1.0) if name.tokens else 0.0)


@given(_names, _names)
def test_likeness_is_symmetric_and_bounded(first: str, second: str) -> None:
    assert 0 <= score(first, second) <= 1.0 + 1e-9
    assert score(first, second) == pytest.approx(score(second, first), abs=0.02)


@given(st.permutations(["ostap", "dravisovich", "kvortenhalmen", "zentrave"]))
def test_word_order_counts_for_nothing(words: list[str]) -> None:
    assert score(" ".join(words), "Ostap Dravisovich Kvortenhalmen Zentrave") == pytest.approx(1.0)


def entry(number: int, name: str, *aliases: str, **fields: object) -> Entry:
    values = {"kind": EntryKind.PERSON, "birth_dates": (), "countries": (), **fields}
    return Entry(
        entry_id=str(number),
        names=(EntryName(name, "name"), *(EntryName(alias, "a.k.a.") for alias in aliases)),
        programs=("TEST",),
        **values,  # type: ignore[arg-type]
    )


def person(name: str, birth_date: str = "", country: str = "") -> ScreenedPerson:
    return ScreenedPerson((name,), True, birth_date, country)


LISTED = entry(
    1, "KVORTENHALMEN, Ostap", "The Kvort", birth_dates=("1971-03-05",), countries=("Russia",)
)


@pytest.mark.parametrize(
    ("birth_date", "country", "effects"),
    [
        ("", "", (0.0, 0.0)),
        ("1971-03-05", "RU", (0.05, 0.02)),
        ("1971", "", (0.05, 0.0)),
        ("1971-04", "", (0.0, 0.0)),
        ("1973-01-01", "", (0.0, 0.0)),
        ("1974-01-01", "DE", (-0.15, -0.05)),
    ],
)
def test_dates_and_countries_move_the_score(
    birth_date: str, country: str, effects: tuple[float, float]
) -> None:
    (hit,) = NameIndex.of([LISTED]).search(person("Ostap Kvortenhalmen", birth_date, country), 0.5)
    explained = hit.explanation
    assert (explained.birth_date_effect, explained.country_effect) == effects
    assert hit.score == pytest.approx(min(1.0, 1.0 + sum(effects)))


def test_a_match_says_which_alias_and_which_parts() -> None:
    (hit,) = NameIndex.of([LISTED]).search(person("Mr The Kvortt"), THRESHOLD)
    assert hit.explanation.list_name == "The Kvort"
    assert hit.explanation.list_name_type == "a.k.a."
    assert [(part.subject_part, part.list_part) for part in hit.explanation.parts] == [
        ("the", "the"),
        ("kvortt", "kvort"),
    ]


def test_a_person_is_no_ship() -> None:
    index = NameIndex.of([entry(1, "FICTITIOUS TIDE", kind=EntryKind.VESSEL)])
    assert index.search(person("Fictitious Tide"), 0.5) == []
    assert index.search(ScreenedPerson(("Fictitious Tide",), False, "", ""), 0.5) != []


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_the_index_finds_what_comparing_finds(first: str, second: str) -> None:
    crowd = [entry(number, f"CROWD{number}, Member Of") for number in range(2, 500)]
    found = NameIndex.of([entry(1, first), *crowd]).search(person(second), THRESHOLD)
    assert [hit.entry.entry_id for hit in found] == ["1"]


def test_countries_as_ofac_writes_them() -> None:
    written = ["Iran", "Korea, North", "Congo, Democratic Republic of the", "Burma", "Nowhere"]
    assert [country_code(text) for text in written] == ["IR", "KP", "CD", "MM", ""]
