"""Companies with one word as an initial, or all of them ("M. Hosseini Trading", "IRISL").

What is left says which company it is only if it is rare: a short name that would fit many entries
of the list is compared with none ("M. Shipping").
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator

from compliance.screening.names import FILLERS, PARTICLES, NormalName, weight
from compliance.screening.packed import Packed, PackedKeyedGroups, Packing
from compliance.screening.scoring import INITIAL_SIMILARITY, MatchedPart

# Entries of the list that an abbreviation may fit, with one other word and with more.
MAX_ENTRIES_BY_ONE_WORD, MAX_ENTRIES = 2, 3
# The score of one that fits a single entry, and what each more takes from it.
ONLY_ENTRY_SCORE, MORE_ENTRIES_COST = 0.93, 0.02
# Letters of a name of nothing but initials: many words of four are somebody's.
MIN_INITIALS, MAX_INITIALS = 5, 12
# Before the initials of a name, and before a listed name that may be initials itself.
_INITIALS_OF, _INITIALS = "=", "~"

# Of a row its number, its entry and its name.
Row = tuple[int, str, NormalName]


def shortened(name: NormalName) -> Iterator[str]:
    """The name with each of its words as an initial, in any order of the others."""
    for place, word in enumerate(name.tokens):
        rest = (*name.tokens[:place], *name.tokens[place + 1 :])
        if len(word) > 1 and _is_telling(rest):
            yield _key(word[0], rest)


def initials_of(name: NormalName) -> str:
    """The first letters of all words that count; empty if they are too few or too many."""
    words = [word for word in name.tokens if word not in FILLERS and word not in PARTICLES]
    found = "".join(word[0] for word in words)
    return found if MIN_INITIALS <= len(words) <= MAX_INITIALS and found.isalpha() else ""


def may_be_initials(name: NormalName) -> bool:
    """Whether a name is one word of as many letters as initials have."""
    return (
        len(name.tokens) == 1
        and MIN_INITIALS <= len(name.tokens[0]) <= MAX_INITIALS
        and name.tokens[0].isalpha()
    )


def pack_abbreviated(
    packing: Packing, prefix: str, rows: Iterable[Row], beside: Iterable[tuple[str, NormalName]]
) -> None:
    """Adds what `Abbreviated` of this prefix reads: of each abbreviation how many entries it fits,
    and the rows. `beside` are entries and names that count, too, but are no rows."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    entries_of: dict[str, set[str]] = defaultdict(set)
    for number, entry, name in rows:
        for key in _keys_of(name):
            rows_of[key].append(number)
            entries_of[key].add(entry)
    for entry, name in beside:
        for key in _keys_of(name):
            if key in rows_of:
                entries_of[key].add(entry)
    packing.keyed_groups(
        prefix,
        {
            key: [len(entries_of[key]), *dict.fromkeys(found)]
            for key, found in rows_of.items()
            if len(entries_of[key]) <= _most_entries(key)
        },
    )


class Abbreviated:
    """Rows by their abbreviations."""

    def __init__(self, packed: Packed, prefix: str) -> None:
        self._groups = PackedKeyedGroups(packed, prefix)

    def search(self, name: NormalName) -> Iterator[tuple[int, float, bool]]:
        """Rows that a name may stand for, with their scores, and whether by all words' initials."""
        for place, word in enumerate(name.tokens):
            rest = (*name.tokens[:place], *name.tokens[place + 1 :])
            if len(word) == 1 and _is_telling(rest):
                yield from self._found(_key(word, rest), is_whole=False)
        if may_be_initials(name):
            yield from self._found(_INITIALS_OF + name.tokens[0], is_whole=True)
        if initials := initials_of(name):
            yield from self._found(_INITIALS + initials, is_whole=True)

    def _found(self, key: str, *, is_whole: bool) -> Iterator[tuple[int, float, bool]]:
        group = self._groups.get(key)
        for row in group[1:]:
            yield row, ONLY_ENTRY_SCORE - MORE_ENTRIES_COST * (group[0] - 1), is_whole


def abbreviated_parts(name: NormalName, listed: NormalName) -> tuple[MatchedPart, ...]:
    """The words that two names have in common, and the one that one of them has as an initial."""
    left, right = list(name.tokens), list(listed.tokens)
    parts = []
    for word in name.tokens:
        if word in right:
            left.remove(word)
            right.remove(word)
            parts.append(MatchedPart(word, word, 1.0))
    pairs = itertools.zip_longest(left, right, fillvalue="")
    return (*parts, *(MatchedPart(one, other, INITIAL_SIMILARITY) for one, other in pairs))


def _keys_of(name: NormalName) -> Iterator[str]:
    yield from shortened(name)
    if initials := initials_of(name):
        yield _INITIALS_OF + initials
    if may_be_initials(name):
        yield _INITIALS + name.tokens[0]


def _is_telling(rest: tuple[str, ...]) -> bool:
    """Whether the other words can say which company it is: two of them, or one that is not
    generic."""
    return len(rest) > 1 or (len(rest) == 1 and weight(rest[0]) > 1)


def _key(initial: str, rest: tuple[str, ...]) -> str:
    return " ".join((initial, *sorted(rest)))


def _most_entries(key: str) -> int:
    return MAX_ENTRIES_BY_ONE_WORD if key.count(" ") == 1 else MAX_ENTRIES
