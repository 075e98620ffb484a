"""Sums of many rows at once, against plain addition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.screening.bit_sums import (
    MIN_ROWS_KEPT,
    BitSums,
    RowNeeds,
    RowsByWords,
    WordsByPairs,
    bits_of,
    numbers_of,
    pack_needs,
    start_of,
)
from compliance.screening.packed import Packed, PackedGroups, PackedKeyedGroups, Packing

_ROWS = 70
_NUMBERS = st.sets(st.integers(0, _ROWS - 1))


@given(st.sets(st.integers(0, 5_000)))
def test_bits_are_the_numbers_they_were_made_of(numbers: set[int]) -> None:
    assert list(numbers_of(bits_of([sorted(numbers)], 5_001))) == sorted(numbers)


@given(
    st.lists(st.tuples(_NUMBERS, st.integers(0, 40)), max_size=12),
    st.integers(1, 200),
)
def test_rows_that_come_to_what_is_needed_are_reached(
    added: list[tuple[set[int], int]], needed: int
) -> None:
    sums = BitSums(start_of(needed, needed.bit_length(), (1 << _ROWS) - 1))
    for rows, amount in added:
        sums.add(bits_of([rows], _ROWS), amount)
    assert set(numbers_of(sums.reached)) == {
        row
        for row in range(_ROWS)
        if sum(amount for rows, amount in added if row in rows) >= needed
    }


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=_ROWS),
    st.integers(1, 400),
    st.lists(st.tuples(_NUMBERS, st.integers(0, 60)), max_size=8),
)
def test_a_row_needs_the_smaller_of_both_sides(
    needs: list[int], own: int, added: list[tuple[set[int], int]]
) -> None:
    packing = Packing()
    pack_needs(packing, "needs", needs)
    row_needs = RowNeeds(Packed(memoryview(packing.to_bytes())), "needs")
    for _ in range(2):  # The second time from what is remembered.
        sums = BitSums(row_needs.start(own))
        for rows, amount in added:
            sums.add(bits_of([[row for row in rows if row < len(needs)]], len(needs)), amount)
        assert set(numbers_of(sums.reached)) == {
            row
            for row, need in enumerate(needs)
            if sum(amount for rows, amount in added if row in rows) >= min(need, own)
        }


@given(
    st.lists(st.sets(st.sampled_from("abcdef")), max_size=20),
    st.sets(st.sampled_from("abcdef"), min_size=1),
)
def test_words_share_as_many_pairs_as_are_asked_for(words: list[set[str]], pairs: set[str]) -> None:
    packing = Packing()
    by_pair = {
        pair: [number for number, word in enumerate(words) if pair in word] for pair in "abcdef"
    }
    packing.keyed_groups("pairs", by_pair)
    packed = Packed(memoryview(packing.to_bytes()))
    by_pairs = WordsByPairs(PackedKeyedGroups(packed, "pairs"), len(words))
    for needed in range(1, len(pairs) + 1):
        assert list(by_pairs.sharing(pairs, needed)) == [
            number for number, word in enumerate(words) if len(word & pairs) >= needed
        ]


@pytest.mark.parametrize("count", [0, 1, MIN_ROWS_KEPT - 1, MIN_ROWS_KEPT, MIN_ROWS_KEPT + 1])
def test_rows_of_frequent_words_are_kept_until_they_are_forgotten(count: int) -> None:
    packing = Packing()
    packing.groups("rows", [list(range(count)), [_ROWS - 1]])
    packed = Packed(memoryview(packing.to_bytes()))
    by_words = RowsByWords(PackedGroups(packed, "rows"), _ROWS)
    wanted = sorted({*range(count), _ROWS - 1})
    for _ in range(2):
        assert list(numbers_of(by_words.having([0, 1]))) == wanted
    assert by_words.forget(0) == (count >= MIN_ROWS_KEPT)
    assert not by_words.forget(1)
    assert list(numbers_of(by_words.having([0, 1]))) == wanted
