"""Names compared as one run of letters: what two typing errors leave, wherever they fall.

Words are compared one by one (scoring.py), so that an error that splits or joins words, or two in a
short word, costs a whole word. Here the spaces count for nothing, and at most MAX_EDITS letters may
differ. Rows are found by pieces: of MAX_EDITS + 1 pieces of a name so many errors leave one as it
was, nearly at its place.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from zlib import crc32

from rapidfuzz.distance import OSA

from compliance.screening.names import GENERIC_WORDS, NormalName
from compliance.screening.packed import (
    Packed,
    PackedGroups,
    PackedKeyedGroups,
    PackedStrings,
    Packing,
)

MAX_EDITS = 2
# Letters of a name: with fewer one error makes another name of it, or two.
MIN_LETTERS, MIN_LETTERS_FOR_TWO = 6, 9
# Longer names have words enough that two errors leave alone.
MAX_LETTERS = 80
# What an error takes from the score, as a share of the name's letters.
EDIT_COST = 0.675
# Of a word that alone is another one, beyond one letter.
MAX_EDITED_SHARE = 0.4
# Letters of generic words ("trading") say this much of which name it is.
GENERIC_LETTER = 0.3

# Bits for each piece, of which one is set: of other pieces one in sixteen is looked up in vain.
HASHES_PER_PIECE = 16


def edits_allowed(letters: int) -> int:
    """How many errors a name of so many letters may have."""
    if not MIN_LETTERS <= letters <= MAX_LETTERS:
        return 0
    return 1 if letters < MIN_LETTERS_FOR_TWO else MAX_EDITS


def whole_score(edits: int, name: NormalName) -> float:
    """How alike the listed name is to what differs from it by so many letters, 0 to 1."""
    telling = sum(
        len(token) * (GENERIC_LETTER if token in GENERIC_WORDS else 1.0) for token in name.tokens
    )
    return max(0.0, 1.0 - EDIT_COST * edits / telling)


def is_another_word(name: NormalName, listed: NormalName) -> bool:
    """Whether one word alone differs, and by too much of it to be the same word.

    "Sang Hun Ri" and "Sang Hun Kim" differ by no more letters than two errors make.
    """
    left = [token for token in name.tokens if token not in listed.tokens]
    right = [token for token in listed.tokens if token not in name.tokens]
    if len(left) != 1 or len(right) != 1:
        return False
    edits = OSA.distance(left[0], right[0])
    return bool(edits > 1 and edits > MAX_EDITED_SHARE * max(len(left[0]), len(right[0])))


def orders(name: NormalName, family_words: int, folded: str) -> tuple[str, ...]:
    """The letters of a name as it is written, with the family name behind, and with all that does
    not count (an error in a legal form makes another word of it)."""
    tokens = name.tokens
    turned = (*tokens[family_words:], *tokens[:family_words])
    everything = folded.replace(" ", "")
    return tuple(dict.fromkeys(("".join(tokens), "".join(turned), everything)))


def _pieces(letters: str) -> list[str]:
    return [
        f"{beginning}{letters[start:end]}" for beginning, start, end in _cut_in_pieces(len(letters))
    ]


def _cut_in_pieces(size: int) -> list[tuple[str, int, int]]:
    """Of a name of so many letters how each piece's key begins, and where it begins and ends."""
    count = edits_allowed(size) + 1
    cuts = [size * number // count for number in range(count + 1)]
    return [(f"{size}.{number}.", cuts[number], cuts[number + 1]) for number in range(count)]


@cache
def _places(size: int) -> list[tuple[str, int, int, int]]:
    """Where pieces of listed names may be in a name of so many letters: how the piece's key begins,
    the hash of that, and where it begins and ends.

    Before a piece there are no more errors than pieces, and behind it: each piece was hit else, and
    an earlier or later one is the same ("PassJoin", Li et al., VLDB 2011).
    """
    found = []
    for listed in range(size - MAX_EDITS, size + MAX_EDITS + 1):
        allowed = edits_allowed(listed)
        more = size - listed
        if not allowed or abs(more) > allowed:
            continue
        for number, (beginning, start, end) in enumerate(_cut_in_pieces(listed)):
            behind = allowed - number
            for shift in range(max(-number, more - behind), min(number, more + behind) + 1):
                hashed = crc32(beginning.encode())
                found.append((beginning, hashed, start + shift, end + shift))
    return found


def pack_whole(packing: Packing, prefix: str, names: Iterable[tuple[NormalName, int, str]]) -> None:
    """Adds what `WholeNames` of this prefix reads.

    Of each row its name, how many words the family's are, and all its words folded.
    """
    by_letters: dict[str, list[int]] = {}
    for row, (name, family_words, folded) in enumerate(names):
        for letters in orders(name, family_words, folded):
            if edits_allowed(len(letters)):
                by_letters.setdefault(letters, []).append(row)
    by_piece: dict[str, list[int]] = {}
    for number, letters in enumerate(by_letters):
        for piece in _pieces(letters):
            by_piece.setdefault(piece, []).append(number)
    packing.strings(f"{prefix}.letters", by_letters)
    packing.groups(f"{prefix}.rows", by_letters.values())
    packing.keyed_groups(f"{prefix}.by_piece", by_piece)
    hashes = bytearray(1 << max(1, (HASHES_PER_PIECE * len(by_piece) // 8).bit_length()))
    for piece in by_piece:
        hashed = crc32(piece.encode())
        hashes[hashed >> 3 & len(hashes) - 1] |= 1 << (hashed & 7)
    packing.add(f"{prefix}.hashes", bytes(hashes))


class WholeNames:
    """Rows by their letters."""

    def __init__(self, packed: Packed, prefix: str) -> None:
        self._letters = PackedStrings(packed, f"{prefix}.letters")
        self._rows = PackedGroups(packed, f"{prefix}.rows")
        self._by_piece = PackedKeyedGroups(packed, f"{prefix}.by_piece")
        # A bit for each hash that a piece has.
        self._hashes = packed.section(f"{prefix}.hashes")

    def search(self, letters: str) -> Iterator[tuple[int, int]]:
        """Rows whose names differ by no more errors than they may have, and how many."""
        for number in self._candidates(letters):
            listed = self._letters[number]
            allowed = edits_allowed(len(listed))
            edits = OSA.distance(letters, listed, score_cutoff=allowed)
            if edits <= allowed:
                for row in self._rows[number]:
                    yield row, edits

    def _candidates(self, letters: str) -> Iterable[int]:
        """Numbers of the letters that have a piece in common where so few errors can have moved it.

        Nearly all pieces are of no name: their hash says so.
        """
        if len(letters) > MAX_LETTERS + MAX_EDITS:
            return ()
        found: dict[int, None] = {}
        written, hashes, last = letters.encode(), self._hashes, len(self._hashes) - 1
        for beginning, before, start, end in _places(len(letters)):
            hashed = crc32(written[start:end], before)
            if hashes[hashed >> 3 & last] >> (hashed & 7) & 1:
                piece = f"{beginning}{letters[start:end]}"
                found.update(dict.fromkeys(self._by_piece.get(piece)))
        return found
