"""Names of a list in one spelling, searchable by words that are like theirs.

Words are found by the pairs of letters they share, names by their words. Of the names found, the
most promising are compared in full. A view reads packed bytes, which may have been written by
another process (see builder.py).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from compliance.screening.bit_sums import (
    BitSums,
    RowNeeds,
    RowsByWords,
    WordsByPairs,
    forget_some,
    numbers_of,
)
from compliance.screening.names import ALTERNATIVES, NormalName, weight
from compliance.screening.packed import (
    Packed,
    PackedGroups,
    PackedKeyedGroups,
    PackedStrings,
)
from compliance.screening.scoring import (
    MAX_PARTIAL_PENALTY,
    MIN_JOINED_SIMILARITY,
    MIN_TOKEN_SIMILARITY,
    PARTIAL_PENALTY,
    Likeness,
    MatchedPart,
    compare_names,
    is_arranged,
    joined_score,
    merged,
    whole_part,
)
from compliance.screening.spelling import ListedWords, sounds
from compliance.screening.view_packing import (
    MIN_COVERAGE,
    WEIGHT_UNIT,
    least_need,
    letter_pairs,
    runs,
    seeds,
    sorted_letters,
    telling_weight,
)

MAX_CANDIDATES = 200
MAX_CACHED_TOKENS, MAX_CACHED_NAMES = 50_000, 50_000
# The share of its letter pairs that a word has to have in common with one that is like it.
MIN_SHARED_PAIRS = 0.4
# How much more a score may be than what the words' weights make it before they are compared.
BOUND_SLACK = 0.04
MIN_JOINED_LENGTH = 6


class View:
    """Names by numbers of their owner's, which may have several each and is found by any."""

    def __init__(
        self,
        packed: Packed,
        prefix: str,
        similarity: Likeness,
        stem: Callable[[str], str] = str,
        *,
        is_joined: bool = True,
        words: ListedWords | None = None,
    ) -> None:
        """Reads what `pack_view` added with the same `stem`.

        With `is_joined` names that differ in where words begin are looked for here. One of `words`
        is like its other spellings only.
        """
        self._listed_words = words
        self._is_joined = is_joined
        self._similarity = similarity
        self._stem = stem
        self._numbers = packed.numbers(f"{prefix}.numbers")
        self._weights = packed.floats(f"{prefix}.weights")
        self._words = packed.numbers(f"{prefix}.words")
        self._lengths = packed.numbers(f"{prefix}.lengths")
        # The words of each row, by their numbers.
        self._names = PackedGroups(packed, f"{prefix}.names")
        self._tokens = PackedStrings(packed, f"{prefix}.tokens").all()
        self._rows_by_token = PackedGroups(packed, f"{prefix}.by_token")
        # Only those of which the word is a seed.
        self._rows_by_seed = PackedGroups(packed, f"{prefix}.by_seed")
        self._rows_by_run = PackedKeyedGroups(packed, f"{prefix}.by_run")
        # By the letters of all words, pairs of a row and the place of its words.
        self._rows_by_letters = PackedKeyedGroups(packed, f"{prefix}.by_letters")
        self._arranged = PackedStrings(packed, f"{prefix}.arranged")
        self._tokens_by_stem = PackedKeyedGroups(packed, f"{prefix}.by_stem")
        self._tokens_by_sound = PackedKeyedGroups(packed, f"{prefix}.by_sound")
        self._words_by_pairs = WordsByPairs(
            PackedKeyedGroups(packed, f"{prefix}.by_pair"), len(self._tokens)
        )
        self._rows_by_words = RowsByWords(self._rows_by_token, len(self._numbers))
        self._needs = RowNeeds(packed, f"{prefix}.needs")
        # What was asked for before: words with the list's words that are like them, and names.
        self._similar: dict[str, dict[int, float]] = {}
        self._known_names: dict[int, NormalName] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def forget(self, count: int) -> bool:
        """Gives back some of what it remembers; False if there is nothing left."""
        remembered: list[dict[Any, Any]] = [self._similar, self._known_names]
        left = [forget_some(known, count) for known in remembered]
        left += [self._words_by_pairs.forget(count), self._rows_by_words.forget(count)]
        return any(left)

    def search(
        self, name: NormalName, *, has_initials: Callable[[int], bool], least: float
    ) -> Iterator[tuple[int, float, tuple[MatchedPart, ...]]]:
        """Numbers whose names score `least` or more against a name, with score and parts."""
        similar = {token: self._similar_tokens(token) for token in set(name.tokens)}

        own_weight = telling_weight(name)
        if not own_weight:
            return
        alike = [
            (place, similar[token]) for place, token in enumerate(name.tokens) if similar[token]
        ]
        seen: set[int] = set()
        joined = "".join(name.tokens)
        if len(joined) >= MIN_JOINED_LENGTH:
            pairs_of_rows = iter(self._rows_by_letters.get(sorted_letters(name.tokens)))
            for row, place in zip(pairs_of_rows, pairs_of_rows, strict=True):
                words = self._arranged[place].split(" ")
                is_candidate = row not in seen and len(words) != len(name.tokens)
                if is_candidate and is_arranged(words, joined):
                    seen.add(row)
                    yield self._numbers[row], 1.0, (MatchedPart(joined, " ".join(words), 1.0),)
        by_run = self._by_run(name)
        for row in by_run:
            if row not in seen:
                seen.add(row)
                number, listed = self._numbers[row], self.name(row)
                one, other = merged(name, listed, self._stem), merged(listed, name, self._stem)
                score, parts = compare_names(
                    one, other, self._likeness, has_initials=has_initials(number)
                )
                if score >= least:
                    yield number, score, parts
        promising, others = self._candidates(similar, name, own_weight, least)
        for row in self._as_long_as(name, others) if self._is_joined else ():
            listed = self.name(row)
            score = joined_score(name, listed)
            if row not in seen and score >= max(least, MIN_JOINED_SIMILARITY):
                yield self._numbers[row], score, (whole_part(name, listed, score),)
        for row in promising:
            if row not in seen:
                number = self._numbers[row]
                pairs = [
                    (similarity, left, right)
                    for left, likes in alike
                    for right, token_number in enumerate(self._names[row])
                    if (similarity := likes.get(token_number))
                ]
                score, parts = compare_names(
                    name, self.name(row), pairs=pairs, has_initials=has_initials(number)
                )
                if score >= least:
                    yield number, score, parts

    def name(self, row: int) -> NormalName:
        """The words of a row."""
        name = self._known_names.get(row)
        if name is None:
            if len(self._known_names) >= MAX_CACHED_NAMES:
                self._known_names.clear()
            name = NormalName(tuple([self._tokens[number] for number in self._names[row]]))
            self._known_names[row] = name
        return name

    def _by_run(self, name: NormalName) -> list[int]:
        """Rows that have a word of the name as several words, or several as one."""
        found: dict[int, float] = defaultdict(float)
        for token in set(name.tokens):
            for row in self._rows_by_run.get(self._stem(token)):
                found[row] += weight(token)
        for run in runs(name, self._stem):
            for number in self._tokens_by_stem.get(run):
                for row in self._rows_by_token[number]:
                    found[row] += weight(self._tokens[number])
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [row for row, _ in ranked[:MAX_CANDIDATES]]

    def _candidates(
        self,
        similar: dict[str, dict[int, float]],
        name: NormalName,
        own_weight: float,
        least: float,
    ) -> tuple[list[int], list[int]]:
        """The rows of which most is found in the name, or the other way round; and the others.

        One of a name's seeds is there, or less than MIN_COVERAGE is: others need not be looked at,
        unless less is asked for.
        """
        # What the list's words that are like the name's say of the name, and of a listed one.
        own_worth: dict[int, float] = {}
        worth: dict[int, float] = {}
        for token, likes in similar.items():
            for number, similarity in likes.items():
                value = similarity * weight(self._tokens[number])
                worth[number] = max(worth.get(number, 0.0), value)
                own_worth[number] = max(own_worth.get(number, 0.0), similarity * weight(token))
        if not worth:
            return [], []
        found: Iterable[int]
        if least < MIN_COVERAGE:
            found = {row for number in worth for row in self._rows_by_token[number]}
        elif self._is_joined:
            found = self._seeded(similar, name, worth)
        else:
            found = self._covering(similar, name, own_weight)
        weights, items, ends = self._weights, self._names.items, self._names.ends
        least_share = min(least, MIN_COVERAGE)
        promising = []
        others = []
        for row in found:
            value = own_value = 0.0
            for number in items[ends[row] : ends[row + 1]]:
                if number in worth:
                    value += worth[number]
                    own_value += own_worth[number]
            listed_weight = weights[row]
            shorter = max(own_value / own_weight, value / listed_weight)
            whole = (own_value + value) / (own_weight + listed_weight)
            if shorter >= least_share and _bound(whole, shorter) >= least:
                promising.append((-value * (1 / listed_weight + 1 / own_weight), row))
            elif self._is_joined:
                others.append(row)
        promising.sort()
        return [row for _, row in promising[:MAX_CANDIDATES]], others

    def _seeded(
        self, similar: dict[str, dict[int, float]], name: NormalName, worth: Iterable[int]
    ) -> set[int]:
        """Rows that have one of the name's seeds, or the name one of theirs."""
        found: set[int] = set()
        for number in worth:
            found.update(self._rows_by_seed[number])
        counts = {
            token: sum([len(self._rows_by_token[number]) for number in likes])
            for token, likes in similar.items()
        }
        for token in seeds(name, counts.__getitem__):
            for number in similar[token]:
                found.update(self._rows_by_token[number])
        return found

    def _covering(
        self, similar: dict[str, dict[int, float]], name: NormalName, own_weight: float
    ) -> Iterator[int]:
        """Rows whose words that are like the name's make up MIN_COVERAGE of either, and some more.

        What a word adds is rounded up, and what has to be reached down.
        """
        sums = BitSums(self._needs.start(least_need(own_weight)))
        for token in name.tokens:
            likes = similar[token]
            # Those that are the same word apart: what is only like it is worth less.
            for is_same in (True, False):
                words = [number for number, one in likes.items() if (one == 1.0) is is_same]
                if words:
                    most = max(
                        likes[number] * max(weight(token), weight(self._tokens[number]))
                        for number in words
                    )
                    sums.add(self._rows_by_words.having(words), _units(most))
        return numbers_of(sums.reached)

    def _as_long_as(self, name: NormalName, rows: list[int]) -> list[int]:
        """Rows of nearly as many letters in another number of words: joined with a typo."""
        words, letters = len(name.tokens), len(name.joined)
        slack = letters * (1 - MIN_JOINED_SIMILARITY) + 1
        return [
            row
            for row in rows
            if self._words[row] != words and abs(self._lengths[row] - letters) <= slack
        ]

    def _similar_tokens(self, token: str) -> dict[int, float]:
        """The list's words that are like this one, by number, with how much."""
        cached = self._similar.get(token)
        if cached is not None:
            return cached
        similar: dict[int, float] = {}
        for number in self._like(token):
            similarity = self._similarity(token, self._tokens[number])
            if similarity >= MIN_TOKEN_SIMILARITY:
                similar[number] = similarity
        if len(self._similar) >= MAX_CACHED_TOKENS:
            self._similar.clear()
        self._similar[token] = similar
        return similar

    def _like(self, token: str) -> Iterator[int]:
        """The list's words that may be like this one."""
        if self._listed_words is not None and token in self._listed_words:
            groups = map(self._tokens_by_sound.get, sounds(token))
            yield from {number for group in groups for number in group}
            return
        for reading in token.split(ALTERNATIVES):
            pairs = letter_pairs(self._stem(reading))
            needed = math.ceil(MIN_SHARED_PAIRS * len(pairs))
            yield from self._words_by_pairs.sharing(pairs, needed)

    def _likeness(self, token: str, listed: str) -> float:
        words = self._listed_words
        if words is not None and words.is_another(token, [listed]):
            return 0.0
        return self._similarity(token, listed)


def _bound(whole: float, shorter: float) -> float:
    """What a score is at most if this share is alike of both names, and of one of them."""
    partial = shorter - min(MAX_PARTIAL_PENALTY, PARTIAL_PENALTY * (1 - whole))
    return max(whole, partial) + BOUND_SLACK


def _units(value: float) -> int:
    return math.ceil(value / WEIGHT_UNIT)
