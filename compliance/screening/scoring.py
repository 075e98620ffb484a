"""How alike two names are, and why. Deterministic: no list or corpus changes a score.

Each word is paired with at most one word of the other name, the most alike first (word order
counts for nothing); what is left unpaired costs by its weight. Compare "Splink", "logic-v2" of
OpenSanctions and rapidfuzz's token ratios, of which this is the explainable sort.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from compliance.screening.entries import EntryKind
from compliance.screening.names import NormalName, fold, weight

# How alike two words are, 0 to 1.
Likeness = Callable[[str, str], float]
# Similarity, and the places of two words in their names.
AlikePair = tuple[float, int, int]

# Neighbouring words that may have been written as one.
MAX_RUN = 3
# A letter for a word, and how alike another word has to be for it to count.
INITIAL_SIMILARITY = 0.7
SURE_SIMILARITY = 0.9
# Below this two words are different words.
MIN_TOKEN_SIMILARITY = 0.78
# Of its letters a word has so many in common with one that is like it, at least.
LEAST_EDITS = 2 * MIN_TOKEN_SIMILARITY - 1.01
# A name that is part of a longer one counts up to this less than a whole one.
PARTIAL_PENALTY = 0.2
# However many words stand around it, a name that is there as a whole is found.
MAX_PARTIAL_PENALTY = 0.14
WEAK_ALIAS_FACTOR = 0.95
MAX_YEARS_APART = 2
MIN_JOINED_SIMILARITY = 0.9

BIRTH_DATE_EQUAL, BIRTH_YEAR_NEAR, BIRTH_DATE_DIFFERS = 0.05, 0.0, -0.15
COUNTRY_EQUAL, COUNTRY_DIFFERS = 0.02, -0.05


@dataclass(frozen=True)
class MatchedPart:
    """Two words found to be alike; similarity 0 to 1."""

    subject_part: str
    list_part: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """Why two names match; see MatchExplanation in screening.proto."""

    subject_name: str
    list_name: str
    list_name_type: str
    parts: tuple[MatchedPart, ...]
    name_score: float
    birth_date_effect: float
    country_effect: float

    @property
    def score(self) -> float:
        """0 to 1: what the names say, moved by dates and countries."""
        moved = self.name_score + self.birth_date_effect + self.country_effect
        return round(min(1.0, max(0.0, moved)), 4)


def token_similarity(first: str, second: str) -> float:
    """0 to 1; short words have to be equal, since one letter makes another name of them."""
    if first == second:
        return 1.0
    shorter, longer = sorted((len(first), len(second)))
    if longer <= 3 or shorter <= 2 or shorter < LEAST_EDITS * longer:
        return 0.0
    if first.isdigit() or second.isdigit():
        return 0.0
    edits = float(DamerauLevenshtein.normalized_similarity(first, second, score_cutoff=LEAST_EDITS))
    if not edits:
        return 0.0
    return max(edits, 0.5 * edits + 0.5 * float(JaroWinkler.similarity(first, second)))


def compare_names(
    first: NormalName,
    second: NormalName,
    likeness: Likeness = token_similarity,
    *,
    pairs: list[AlikePair] | None = None,
    has_initials: bool = False,
) -> tuple[float, tuple[MatchedPart, ...]]:
    """How alike two names are, 0 to 1, and which words make that.

    `pairs` are the words that are alike, if the caller knows them. With `has_initials` a letter
    that is left over may stand for a word, as in people's names.
    """
    if not first.tokens or not second.tokens:
        return 0.0, ()
    parts = _pairs(
        first, second, likeness_pairs(first, second, likeness) if pairs is None else pairs
    )
    if has_initials:
        parts += _initials(first, second, parts)
    score = _weighted_score(first, second, parts)
    joined = joined_score(first, second) if score < 1.0 else 0.0
    if joined > score:
        return joined, (whole_part(first, second, joined),)
    return score, parts


def whole_part(first: NormalName, second: NormalName, similarity: float) -> MatchedPart:
    """Two names as wholes."""
    return MatchedPart(" ".join(first.tokens), " ".join(second.tokens), round(similarity, 4))


def likeness_pairs(first: NormalName, second: NormalName, likeness: Likeness) -> list[AlikePair]:
    """Every pair of words that are alike."""
    return [
        (similarity, left, right)
        for left, one in enumerate(first.tokens)
        for right, other in enumerate(second.tokens)
        if (similarity := likeness(one, other)) >= MIN_TOKEN_SIMILARITY
    ]


def _pairs(
    first: NormalName, second: NormalName, pairs: list[AlikePair]
) -> tuple[MatchedPart, ...]:
    candidates = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))
    used_left: set[int] = set()
    used_right: set[int] = set()
    parts: list[MatchedPart] = []
    for similarity, left, right in candidates:
        if left not in used_left and right not in used_right:
            used_left.add(left)
            used_right.add(right)
            parts.append(
                MatchedPart(first.tokens[left], second.tokens[right], round(similarity, 4))
            )
    return tuple(parts)


def _initials(
    first: NormalName, second: NormalName, parts: tuple[MatchedPart, ...]
) -> tuple[MatchedPart, ...]:
    """Letters of one name that begin a word of the other, if another word is surely alike."""
    if not any(
        part.similarity >= SURE_SIMILARITY and weight(part.subject_part) > 1 for part in parts
    ):
        return ()
    left = _without(first.tokens, [part.subject_part for part in parts])
    right = _without(second.tokens, [part.list_part for part in parts])
    found = []
    for one in left:
        for other in right:
            if one[0] == other[0] and 1 in (len(one), len(other)):
                found.append(MatchedPart(one, other, INITIAL_SIMILARITY))
                right.remove(other)
                break
    return tuple(found)


def _without(tokens: tuple[str, ...], used: list[str]) -> list[str]:
    left = list(tokens)
    for token in used:
        left.remove(token)
    return left


def merged(first: NormalName, second: NormalName, stem: Callable[[str], str] = str) -> NormalName:
    """The first name with neighbouring words written as one where the other has that word."""
    whole = {stem(token): token for token in second.tokens}
    tokens = list(first.tokens)
    for length in range(MAX_RUN, 1, -1):
        place = 0
        while place + length <= len(tokens):
            run = "".join(tokens[place : place + length])
            if stem(run) in whole:
                tokens[place : place + length] = [run]
            place += 1
    return NormalName(tuple(tokens))


def is_arranged(words: Sequence[str], joined: str) -> bool:
    """Whether the words, in some order and all of them, are the joined text."""
    if not words:
        return not joined
    return any(
        joined.startswith(word)
        and is_arranged([*words[:place], *words[place + 1 :]], joined[len(word) :])
        for place, word in enumerate(words)
    )


def _weighted_score(first: NormalName, second: NormalName, parts: tuple[MatchedPart, ...]) -> float:
    total_first = sum(weight(token) for token in first.tokens)
    total_second = sum(weight(token) for token in second.tokens)
    matched_first = sum(weight(part.subject_part) * part.similarity for part in parts)
    matched_second = sum(weight(part.list_part) * part.similarity for part in parts)
    whole = (matched_first + matched_second) / (total_first + total_second)
    telling = sum(1 for part in parts if weight(part.subject_part) > 1)
    if telling < 2:
        return whole
    # Two names or more of somebody's three or four are that person's, given little more than that
    # they are left out: middle names, patronymics, tribal names.
    # Here words have to be surely alike: what is left out cannot speak against it.
    sure_first = sum(weight(part.subject_part) * part.similarity**2 for part in parts)
    sure_second = sum(weight(part.list_part) * part.similarity**2 for part in parts)
    shorter = max(sure_first / total_first, sure_second / total_second)
    return max(whole, shorter - min(MAX_PARTIAL_PENALTY, PARTIAL_PENALTY * (1 - whole)))


def joined_score(first: NormalName, second: NormalName) -> float:
    """For names that differ in where words begin: "Alqaida" and "Al Qaida"."""
    if len(first.tokens) == len(second.tokens):
        return 0.0
    one, other = first.joined, second.joined
    if min(len(one), len(other)) < 6:
        return 0.0
    return float(
        DamerauLevenshtein.normalized_similarity(one, other, score_cutoff=MIN_JOINED_SIMILARITY)
    )


def birth_date_effect(subject: str, listed: tuple[str, ...]) -> float:
    """What the dates add or take away; the list's nearest one counts. 0 if one is unknown."""
    if not subject or not listed:
        return 0.0
    return max(_one_date_effect(subject, date) for date in listed)


def _one_date_effect(subject: str, listed: str) -> float:
    shared = min(len(subject), len(listed))
    if subject[:shared] == listed[:shared]:
        return BIRTH_DATE_EQUAL
    if abs(int(subject[:4]) - int(listed[:4])) <= MAX_YEARS_APART:
        return BIRTH_YEAR_NEAR
    return BIRTH_DATE_DIFFERS


def country_effect(subject: str, listed: tuple[str, ...]) -> float:
    """What the countries add or take away; both are names or codes, compared folded."""
    if not subject or not listed:
        return 0.0
    return COUNTRY_EQUAL if fold(subject) in {fold(name) for name in listed} else COUNTRY_DIFFERS


def most_effect(birth_date: str, country_code: str) -> float:
    """What a subject's date and country can add at most; nothing if they are not known."""
    return (BIRTH_DATE_EQUAL if birth_date else 0.0) + (COUNTRY_EQUAL if country_code else 0.0)


def may_be(is_person: bool | None, kind: EntryKind, *, is_weak: bool = False) -> bool:
    """Whether a subject of this kind can be an entry of that one: a person is no ship, and a
    company has its name from no weak alias of a person ("Indigo")."""
    if is_person is False:
        return not (is_weak and kind is EntryKind.PERSON)
    return not (bool(is_person) and kind in (EntryKind.VESSEL, EntryKind.AIRCRAFT))
