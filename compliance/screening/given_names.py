"""The given name that somebody is called by: the first, but for what is put before it.

Two people may share a family name and one of several given names; where neither is the one that
the other is called by, they are hardly the same ("Hamidreza Khademi", "KHADEMI, Akbar Hamidreza").
"""

import re

from compliance.screening.names import FILLERS, HONORIFICS, PARTICLES, NormalName
from compliance.screening.scoring import MatchedPart

# What it takes from a score if the one name is there but for the word that somebody is called by.
# A whole name is then found only together with a date or country that speaks for it.
NOT_CALLED_SO = 0.12
# Put before the name that somebody is called by, and often left out, as "Muhammad" is.
# After a father's or mother's name ("Abu Umar") comes the own one.
_PUT_BEFORE = frozenset(
    [
        *["abd", "abdel", "abdul", "jose", "maria", "marie", "maulavi", "maulvi", "mawlawi"],
        *["md", "mohd", "mulla", "mullah", "qari", "sayed", "sayyed", "sayyid", "seyed", "syed"],
    ]
)
_PARENTS = frozenset(["abi", "abou", "abu", "oum", "um", "umm"])
_MUHAMMAD = re.compile(r"m[aeou]+h?[aeou]*mm?[ae][dt]")


def called_by(name: NormalName, family_words: int = 0) -> str:
    """The word that a person is called by; empty if none is left that says so.

    `family_words` is how many words at the beginning are the family's.
    """
    given = iter(name.tokens[family_words:])
    for word in given:
        if word in _PARENTS:
            next(given, None)
        elif not (
            len(word) == 1
            or word in _PUT_BEFORE
            or word in PARTICLES
            or word in FILLERS
            or word in HONORIFICS
            or _MUHAMMAD.fullmatch(word)
        ):
            return word
    return ""


def is_left_out(called: str, matched: list[str]) -> bool:
    """Whether none of the words that are alike is, or holds, the one that somebody is called by."""
    return bool(called) and not any(called in word for word in matched)


def what_it_takes(parts: tuple[MatchedPart, ...], called: str, listed_called: str) -> float:
    """What is taken from a score if either is called by a word that the other does not have.

    One word alone makes no match, whoever is called so.
    """
    lacks = is_left_out(called, [part.subject_part for part in parts]) or is_left_out(
        listed_called, [part.list_part for part in parts]
    )
    return NOT_CALLED_SO if lacks and len(parts) > 1 else 0.0
