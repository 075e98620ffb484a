"""Which words are spellings of one another, and which are two words.

A typing error hardly ever makes a word that somebody else on the list is called: where the word
that is screened is itself a word of the list, it is not another one with an error, unless both are
usual spellings of the same sounds ("Mohamed" and "Muhammad", but not "Kong" and "Nong").
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from compliance.screening.packed import Packed, PackedKeys, Packing

# Letters that spellings of one name exchange, longest first. Vowels and "h" are left out: they are
# what transliterations differ in most.
_ALWAYS = (
    *[("tsch", "s"), ("tch", "s"), ("sch", "s"), ("sh", "s"), ("zh", "s"), ("ts", "s")],
    *[("tz", "s"), ("dz", "s"), ("z", "s"), ("dj", "k"), ("gh", "k"), ("ck", "k"), ("rk", "k")],
    *[("ph", "p"), ("b", "p"), ("f", "p"), ("v", "p"), ("q", "k")],
)
# Others are read in several ways: "Walid" and "Valid", "Khaled" and "Haled", "Bogdan" and "Bohdan",
# "Jamal" and "Gamal", "Jusuf" and "Yusuf", "Jong" and "Chong", "Ramadan" and "Ramazan".
_READINGS = (
    (
        *[("ch", "s"), ("kh", "k"), ("w", "p"), ("j", "k"), ("g", "k"), ("c", "k"), ("x", "ks")],
        *[("d", "t")],
    ),
    (
        *[("ch", "k"), ("kh", ""), ("th", "s"), ("w", ""), ("j", ""), ("g", ""), ("c", "s")],
        *[("x", "s"), ("d", "s")],
    ),
    (
        *[("ch", "s"), ("kh", "k"), ("w", "p"), ("j", "s"), ("g", "k"), ("c", "k"), ("x", "s")],
        *[("d", "t")],
    ),
)
_SILENT = str.maketrans("", "", "aeiouyh")
# "Abdelrahman" and "Abdurrahman": the article takes the sound of what follows.
_SERVANT = re.compile(r"^abd[aeiou][dlnrstz](?=[a-z]{3})")
_TWICE = re.compile(r"([a-z])\1+")


@lru_cache(maxsize=65_536)
def sounds(word: str) -> frozenset[str]:
    """The consonants of a folded word by classes, in each of the ways they are read."""
    bare = _SERVANT.sub("abd", word)
    for written, sound in _ALWAYS:
        bare = bare.replace(written, sound)
    return frozenset(_consonants(bare, reading) for reading in _READINGS)


def _consonants(word: str, reading: tuple[tuple[str, str], ...]) -> str:
    for written, sound in reading:
        word = word.replace(written, sound)
    return _TWICE.sub(r"\1", word.translate(_SILENT))


def is_spelling_of(one: str, other: str) -> bool:
    """Whether two words are usual spellings of the same sounds."""
    return not sounds(one).isdisjoint(sounds(other))


def pack_words(packing: Packing, prefix: str, words: Iterable[str]) -> None:
    """Adds what `ListedWords` of this prefix reads: all words of a list."""
    packing.keys(prefix, sorted(set(words)))


class ListedWords:
    """The words of a list."""

    def __init__(self, packed: Packed, prefix: str) -> None:
        self._words = PackedKeys(packed, prefix)

    def __contains__(self, word: str) -> bool:
        return self._words.find(word) is not None

    def is_another(self, word: str, listed: Iterable[str]) -> bool:
        """Whether a word is of the list and another spelling of none of these."""
        return word in self and not any(is_spelling_of(word, other) for other in listed)
