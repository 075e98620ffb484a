"""Names of a list in one spelling, searchable by words that are like theirs.

Words are found by the pairs of letters they share, names by their words. Of the names found, the
most promising are compared in full. A view reads packed bytes, which may have been written by
another process (see builder.py).
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from compliance.screening.names import ALTERNATIVES, NormalName, weight
from compliance.screening.packed import (
    Packed,
    PackedGroups,
    PackedKeyedGroups,
    PackedStrings,
    Packing,
)
from compliance.screening.scoring import (
    MAX_PARTIAL_PENALTY,
    MAX_RUN,
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

MAX_CANDIDATES = 200
MAX_CACHED_TOKENS, MAX_CACHED_NAMES = 50_000, 50_000
# The share of its letter pairs that a word has to have in common with one that is like it.
MIN_SHARED_PAIRS = 0.4
# Of either name, by weight and without single letters, has to be found in the other to compare
# their words: with less no score reaches the threshold.
MIN_COVERAGE = 0.74
# Words that are more than what may be missing of a name: one of them is there, or too little is.
SEED_SHARE = 1 - MIN_COVERAGE + 0.04
# How much more a score may be than what the words' weights make it before they are compared.
BOUND_SLACK = 0.04
MIN_JOINED_LENGTH, MAX_ARRANGED_WORDS = 6, 8


def pack_view(
    packing: Packing,
    prefix: str,
    rows: Iterable[tuple[int, NormalName, tuple[str, ...]]],
    stem: Callable[[str], str] = str,
) -> None:
    """Adds what a `View` of this prefix reads.

    `rows` are a number, its words, and all its words with those that do not count. Words are looked
    for by the letters of their `stem`.
    """
    numbers: list[int] = []
    names: list[NormalName] = []
    by_token: dict[str, list[int]] = defaultdict(list)
    by_run: dict[str, list[int]] = defaultdict(list)
    by_letters: dict[str, list[int]] = defaultdict(list)
    arranged: dict[tuple[str, ...], int] = {}
    for row, (number, name, all_words) in enumerate(rows):
        numbers.append(number)
        names.append(name)
        for token in dict.fromkeys(name.tokens):
            by_token[token].append(row)
        for run in _runs(name, stem):
            by_run[run].append(row)
        for words in {name.tokens, all_words}:
            if 1 < len(words) <= MAX_ARRANGED_WORDS:
                place = arranged.setdefault(words, len(arranged))
                by_letters[_letters(words)] += (row, place)
    # In their order, so that their numbers sort as they do.
    tokens = {token: number for number, token in enumerate(sorted(by_token))}
    by_stem: dict[str, list[int]] = defaultdict(list)
    by_pair: dict[str, list[int]] = defaultdict(list)
    for token, number in tokens.items():
        by_stem[stem(token)].append(number)
        for pair in _letter_pairs(stem(token)):
            by_pair[pair].append(number)
    by_seed: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        for token in _seeds(name, lambda token: len(by_token[token])):
            by_seed[token].append(row)
    packing.groups(f"{prefix}.by_seed", (by_seed[token] for token in tokens))
    packing.numbers(f"{prefix}.numbers", numbers)
    packing.floats(f"{prefix}.weights", map(_telling_weight, names))
    packing.numbers(f"{prefix}.words", (len(name.tokens) for name in names))
    packing.numbers(f"{prefix}.lengths", (len(name.joined) for name in names))
    packing.groups(f"{prefix}.names", ([tokens[word] for word in name.tokens] for name in names))
    packing.strings(f"{prefix}.tokens", tokens)
    packing.groups(f"{prefix}.by_token", (by_token[token] for token in tokens))
    packing.keyed_groups(f"{prefix}.by_run", by_run)
    packing.keyed_groups(f"{prefix}.by_letters", by_letters)
    packing.strings(f"{prefix}.arranged", map(" ".join, arranged))
    packing.keyed_groups(f"{prefix}.by_stem", by_stem)
    packing.keyed_groups(f"{prefix}.by_pair", by_pair)


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
    ) -> None:
        """Reads what `pack_view` added with the same `stem`.

        With `is_joined` names that differ in where words begin are looked for here.
        """
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
        self._tokens_by_pair = PackedKeyedGroups(packed, f"{prefix}.by_pair")
        # What was asked for before: words with the list's words that are like them, and names.
        self._similar: dict[str, dict[int, float]] = {}
        self._known_names: dict[int, NormalName] = {}
        # For each pair of letters the list's words that have it, a bit each.
        self._words_with: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def forget(self, count: int) -> bool:
        """Gives back some of what it remembers; False if there is nothing left."""
        for token in list(itertools.islice(self._similar, count)):
            self._similar.pop(token, None)
        for row in list(itertools.islice(self._known_names, count)):
            self._known_names.pop(row, None)
        for pair in list(itertools.islice(self._words_with, count)):
            self._words_with.pop(pair, None)
        return bool(self._similar or self._known_names or self._words_with)

    def search(
        self, name: NormalName, *, has_initials: Callable[[int], bool], least: float
    ) -> Iterator[tuple[int, float, tuple[MatchedPart, ...]]]:
        """Numbers whose names score `least` or more against a name, with score and parts."""
        similar = {token: self._similar_tokens(token) for token in set(name.tokens)}

        own_weight = _telling_weight(name)
        if not own_weight:
            return
        alike = [
            (place, similar[token]) for place, token in enumerate(name.tokens) if similar[token]
        ]
        seen: set[int] = set()
        joined = "".join(name.tokens)
        if len(joined) >= MIN_JOINED_LENGTH:
            pairs_of_rows = iter(self._rows_by_letters.get(_letters(name.tokens)))
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
                    one, other, self._similarity, has_initials=has_initials(number)
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
        for run in _runs(name, self._stem):
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
        worth: dict[int, float] = {}
        for likes in similar.values():
            for number, similarity in likes.items():
                value = similarity * weight(self._tokens[number])
                worth[number] = max(worth.get(number, 0.0), value)
        found: set[int] = set()
        if least < MIN_COVERAGE:
            for number in worth:
                found.update(self._rows_by_token[number])
        else:
            for number in worth:
                found.update(self._rows_by_seed[number])
            counts = {
                token: sum([len(self._rows_by_token[number]) for number in likes])
                for token, likes in similar.items()
            }
            for token in _seeds(name, counts.__getitem__):
                for number in similar[token]:
                    found.update(self._rows_by_token[number])
        worth_of = [0.0] * len(self._tokens)
        for number, value in worth.items():
            worth_of[number] = value
        weights, items, ends = self._weights, self._names.items, self._names.ends
        value_of, least_share = worth_of.__getitem__, min(least, MIN_COVERAGE)
        promising = []
        others = []
        for row in found:
            value = sum(map(value_of, items[ends[row] : ends[row + 1]]))
            listed_weight = weights[row]
            shorter = value / (min(own_weight, listed_weight))
            if shorter >= least_share and _bound(value, listed_weight, own_weight) >= least:
                promising.append((-value * (1 / listed_weight + 1 / own_weight), row))
            elif self._is_joined:
                others.append(row)
        promising.sort()
        return [row for _, row in promising[:MAX_CANDIDATES]], others

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
        for reading in token.split(ALTERNATIVES):
            for number in self._sharing(_letter_pairs(self._stem(reading))):
                similarity = self._similarity(token, self._tokens[number])
                if similarity >= MIN_TOKEN_SIMILARITY:
                    similar[number] = similarity
        if len(self._similar) >= MAX_CACHED_TOKENS:
            self._similar.clear()
        self._similar[token] = similar
        return similar

    def _sharing(self, pairs: set[str]) -> Iterator[int]:
        """The list's words that have enough of these pairs of letters.

        All words are counted at once: bit n of `digits[d]` is digit d of the count of word n, and
        what is looked for is a count of `needed` or more.
        """
        needed = math.ceil(MIN_SHARED_PAIRS * len(pairs))
        # Counting begins where `needed` makes it overflow into the highest digit.
        size = len(pairs).bit_length()
        start = (1 << size) - needed
        everything = (1 << len(self._tokens)) - 1
        digits = [everything if start >> digit & 1 else 0 for digit in range(size)]
        reached = 0
        for pair in pairs:
            carry = self._with_pair(pair)
            for digit in range(size):
                if not carry:
                    break
                digits[digit], carry = digits[digit] ^ carry, digits[digit] & carry
            reached |= carry
        while reached:
            lowest = reached & -reached
            yield lowest.bit_length() - 1
            reached ^= lowest

    def _with_pair(self, pair: str) -> int:
        found = self._words_with.get(pair)
        if found is None:
            bits = bytearray(len(self._tokens) // 8 + 1)
            for number in self._tokens_by_pair.get(pair):
                bits[number >> 3] |= 1 << (number & 7)
            found = int.from_bytes(bits, "little")
            self._words_with[pair] = found
        return found


def _bound(value: float, listed_weight: float, own_weight: float) -> float:
    """What a score is at most if words of this weight are alike."""
    whole = 2 * value / (listed_weight + own_weight)
    shorter = value / min(listed_weight, own_weight)
    partial = shorter - min(MAX_PARTIAL_PENALTY, PARTIAL_PENALTY * (1 - whole))
    return max(whole, partial) + BOUND_SLACK


def _seeds(name: NormalName, rows_of: Callable[[str], int]) -> list[str]:
    """The rarest of a name's words that together are more than what may be missing of it."""
    words = [word for word in dict.fromkeys(name.tokens) if len(word) > 1] or [
        *dict.fromkeys(name.tokens)
    ]
    needed = SEED_SHARE * sum(map(weight, words))
    found = []
    for word in sorted(words, key=lambda word: (rows_of(word), word)):
        found.append(word)
        needed -= weight(word)
        if needed < 0:
            break
    return found


def _runs(name: NormalName, stem: Callable[[str], str]) -> set[str]:
    """Neighbouring words written as one: "alqaida" for "al qaida"."""
    tokens = name.tokens
    return {
        stem("".join(tokens[start : start + length]))
        for length in range(2, MAX_RUN + 1)
        for start in range(len(tokens) - length + 1)
    }


def _telling_weight(name: NormalName) -> float:
    """Of each word once, without single letters if there are others: words stand for them."""
    words = dict.fromkeys(name.tokens)
    telling = sum(weight(word) for word in words if len(word) > 1)
    return telling or sum(map(weight, words))


def _letters(words: tuple[str, ...]) -> str:
    return "".join(sorted("".join(words)))


def _letter_pairs(token: str) -> set[str]:
    framed = f"^{token}$"
    return {framed[place : place + 2] for place in range(len(framed) - 1)}
