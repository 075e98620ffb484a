"""Sums of many rows at once: bit n of digit d is digit d of row n's sum.

A whole number of Python has a bit for each row, so that adding something to all rows that have a
word takes a few operations of kilobytes instead of one for each row.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from compliance.screening.packed import Packed, PackedGroups, PackedKeyedGroups, Packing

# Words in at least so many rows are kept as bits: others are as quickly made again.
MIN_ROWS_KEPT = 16
MAX_BOUNDS_KEPT = 512
_NOT_ZERO = re.compile(b"[^\\0]")
# For each byte the places of its bits that are set.
_PLACES = [tuple(place for place in range(8) if byte >> place & 1) for byte in range(256)]


class BitSums:
    """Adds up, and says which rows came to what they need.

    Each begins where what it needs makes it overflow: `start` has a row's digits as `reached` wants
    them, that is 2 ** len(start) less what it needs.
    """

    def __init__(self, start: Iterable[int]) -> None:
        self._digits = list(start)
        self.reached = 0

    def add(self, rows: int, amount: int) -> None:
        """Adds an amount to each of these rows."""
        digits, place = self._digits, 0
        while amount:
            if amount & 1:
                carry = rows
                for digit in range(place, len(digits)):
                    if not carry:
                        break
                    digits[digit], carry = digits[digit] ^ carry, digits[digit] & carry
                self.reached |= carry
            amount >>= 1
            place += 1


def start_of(needed: int, size: int, everything: int) -> list[int]:
    """Where all rows begin that need this much, of `size` digits; it has to be below 2 ** size."""
    start = (1 << size) - needed
    return [everything if start >> digit & 1 else 0 for digit in range(size)]


def numbers_of(bits: int) -> Iterator[int]:
    """The places of the bits that are set, the lowest first."""
    content = bits.to_bytes(bits.bit_length() // 8 + 1, "little")
    for found in _NOT_ZERO.finditer(content):
        start = found.start()
        for place in _PLACES[content[start]]:
            yield 8 * start + place


def bits_of(groups: Iterable[Iterable[int]], size: int) -> int:
    """A number with these bits set, below `size`."""
    bits = bytearray(size // 8 + 1)
    for group in groups:
        for number in group:
            bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def pack_needs(packing: Packing, prefix: str, needs: Sequence[int]) -> None:
    """Adds what `RowNeeds` of this prefix reads: what each row needs at least, 1 or more."""
    size = max(needs, default=1).bit_length()
    starts = [(1 << size) - need for need in needs]
    packing.numbers(f"{prefix}.size", [size, len(needs)])
    for digit in range(size):
        rows = (row for row, start in enumerate(starts) if start >> digit & 1)
        bits = bits_of([rows], len(needs))
        packing.add(f"{prefix}.{digit}", bits.to_bytes(len(needs) // 8 + 1, "little"))


class RowNeeds:
    """What rows need, or less if the other side is less: the smaller of both is enough."""

    def __init__(self, packed: Packed, prefix: str) -> None:
        size, self._rows = packed.numbers(f"{prefix}.size")
        self._digits = [
            int.from_bytes(packed.section(f"{prefix}.{digit}"), "little") for digit in range(size)
        ]
        self._everything = (1 << self._rows) - 1
        self._starts: dict[int, list[int]] = {}

    def start(self, need: int) -> list[int]:
        """Where rows begin that need what they need, and `need` at most."""
        size = len(self._digits)
        if need >= 1 << size:
            return self._digits
        found = self._starts.get(need)
        if found is None:
            if len(self._starts) >= MAX_BOUNDS_KEPT:
                self._starts.clear()
            found = self._starts[need] = self._at_most(start_of(need, size, self._everything))
        return found

    def _at_most(self, others: list[int]) -> list[int]:
        """Row by row the greater of both starts: it is nearer to the overflow."""
        greater, undecided = 0, self._everything
        for own, other in zip(reversed(self._digits), reversed(others), strict=True):
            greater |= undecided & own & ~other
            undecided &= ~(own ^ other)
        return [
            (own & greater) | (other & ~greater)
            for own, other in zip(self._digits, others, strict=True)
        ]


class WordsByPairs:
    """Words, by numbers below `size`, by the pairs of letters that they have."""

    def __init__(self, by_pair: PackedKeyedGroups, size: int) -> None:
        self._by_pair = by_pair
        self._size = size
        # For each pair that was asked for the words that have it.
        self._known: dict[str, int] = {}

    def sharing(self, pairs: set[str], needed: int) -> Iterator[int]:
        """The words that have at least so many of these pairs, 1 or more."""
        sums = BitSums(start_of(needed, len(pairs).bit_length(), (1 << self._size) - 1))
        for pair in pairs:
            sums.add(self._with_pair(pair), 1)
        return numbers_of(sums.reached)

    def forget(self, count: int) -> bool:
        """Gives back some of what it remembers; False if there is nothing left."""
        return forget_some(self._known, count)

    def _with_pair(self, pair: str) -> int:
        found = self._known.get(pair)
        if found is None:
            found = self._known[pair] = bits_of([self._by_pair.get(pair)], self._size)
        return found


class RowsByWords:
    """The rows that have any of some words, a bit each."""

    def __init__(self, by_word: PackedGroups, size: int) -> None:
        self._by_word = by_word
        self._size = size
        self._known: dict[int, int] = {}

    def having(self, words: Iterable[int]) -> int:
        """Rows that have any of these words, by the words' numbers."""
        rare = []
        found = 0
        for word in words:
            known = self._known.get(word)
            if known is None:
                rows = self._by_word[word]
                if len(rows) < MIN_ROWS_KEPT:
                    rare.append(rows)
                    continue
                known = self._known[word] = bits_of([rows], self._size)
            found |= known
        return found | bits_of(rare, self._size) if rare else found

    def forget(self, count: int) -> bool:
        """Gives back some of what it remembers; False if there is nothing left."""
        return forget_some(self._known, count)


def forget_some(known: dict[Any, Any], count: int) -> bool:
    """Drops up to so many; False if there is nothing left."""
    for key in list(itertools.islice(known, count)):
        known.pop(key, None)
    return bool(known)
