"""Packed bytes say what was packed, at every size at which their form changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.screening.packed import (
    MAX_NUMBER,
    Packed,
    PackedGroups,
    PackedKeyedGroups,
    PackedKeys,
    PackedStrings,
    Packing,
)

TEXTS = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=9))
NUMBERS = st.lists(st.integers(0, MAX_NUMBER), max_size=5)


def packed(packing: Packing) -> Packed:
    return Packed(memoryview(packing.to_bytes()))


@given(TEXTS)
def test_texts_by_place(texts: list[str]) -> None:
    packing = Packing()
    packing.strings("one", texts)
    packing.strings("other", [])
    read = packed(packing)
    strings = PackedStrings(read, "one")
    assert strings.all() == texts == [strings[number] for number in range(len(strings))]
    assert PackedStrings(read, "other").all() == []


@given(st.lists(st.text("ab", max_size=4), unique=True), st.text("ab", max_size=4))
def test_texts_are_found_and_others_are_not(texts: list[str], other: str) -> None:
    packing = Packing()
    packing.keys("keys", texts)
    keys = PackedKeys(packed(packing), "keys")
    assert [keys.find(text) for text in texts] == list(range(len(texts)))
    assert keys.find(other) == (texts.index(other) if other in texts else None)


@given(st.dictionaries(st.text("ab", max_size=3), NUMBERS))
def test_groups_by_place_and_by_key(groups: dict[str, list[int]]) -> None:
    packing = Packing()
    packing.groups("places", groups.values())
    packing.keyed_groups("keys", groups)
    read = packed(packing)
    by_place, by_key = PackedGroups(read, "places"), PackedKeyedGroups(read, "keys")
    assert [list(by_place[number]) for number in range(len(groups))] == list(groups.values())
    assert {key: list(by_key.get(key)) for key in groups} == groups
    assert list(by_key.get("c")) == []


@given(NUMBERS, st.lists(st.floats(allow_nan=False)))
def test_numbers(numbers: list[int], floats: list[float]) -> None:
    packing = Packing()
    packing.numbers("numbers", numbers)
    packing.floats("floats", floats)
    read = packed(packing)
    assert list(read.numbers("numbers")) == numbers
    assert list(read.floats("floats")) == floats


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1])
def test_a_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        Packing().numbers("numbers", [number])
