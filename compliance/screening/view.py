"""Names of a list in one spelling, searchable by words that are like theirs.

Words are found by the pairs of letters they share, names by their words. Of the names found, the
most promising are compared in full. A view reads packed bytes, which may have been written by
another process (see builder.py).
"""

import itertools
from collections import Counter, defaultdict
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
    MAX_RUN,
    MIN_JOINED_SIMILARITY,
    MIN_TOKEN_SIMILARITY,
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
MIN_COVERAGE = 0.7
# Words that say this little find a name only beside others, unless there are no others.
LITTLE_WEIGHT = 0.5
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
    ) -> None:
        """Reads what `pack_view` added with the same `stem`."""
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
        self._rows_by_run = PackedKeyedGroups(packed, f"{prefix}.by_run")
        # By the letters of all words, pairs of a row and the place of its words.
        self._rows_by_letters = PackedKeyedGroups(packed, f"{prefix}.by_letters")
        self._arranged = PackedStrings(packed, f"{prefix}.arranged")
        self._tokens_by_stem = PackedKeyedGroups(packed, f"{prefix}.by_stem")
        self._tokens_by_pair = PackedKeyedGroups(packed, f"{prefix}.by_pair")
        # What was asked for before: words with the list's words that are like them, and names.
        self._similar: dict[str, dict[int, float]] = {}
        self._known_names: dict[int, NormalName] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def forget(self, count: int) -> bool:
        """Gives back some of what it remembers; False if there is nothing left."""
        for token in list(itertools.islice(self._similar, count)):
            self._similar.pop(token, None)
        for row in list(itertools.islice(self._known_names, count)):
            self._known_names.pop(row, None)
        return bool(self._similar or self._known_names)

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
                number, listed = self._numbers[row], self._name(row)
                one, other = merged(name, listed, self._stem), merged(listed, name, self._stem)
                score, parts = compare_names(
                    one, other, self._similarity, has_initials=has_initials(number)
                )
                if score >= least:
                    yield number, score, parts
        promising, others = self._candidates(similar, own_weight, min(MIN_COVERAGE, least))
        for row in self._as_long_as(name, others):
            listed = self._name(row)
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
                    name, self._name(row), pairs=pairs, has_initials=has_initials(number)
                )
                if score >= least:
                    yield number, score, parts

    def _name(self, row: int) -> NormalName:
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
        self, similar: dict[str, dict[int, float]], own_weight: float, coverage: float
    ) -> tuple[list[int], list[int]]:
        """The rows of which most is found in the name, or the other way round; and the others."""
        worth: dict[int, float] = {}
        for likes in similar.values():
            for number, similarity in likes.items():
                value = similarity * weight(self._tokens[number])
                worth[number] = max(worth.get(number, 0.0), value)
        found: dict[int, float] = {}
        ordered = sorted(worth.items(), key=lambda item: (-item[1], item[0]))
        for number, value in ordered:
            rows = self._rows_by_token[number]
            if value < LITTLE_WEIGHT and found:
                for row in rows:
                    if row in found:
                        found[row] += value
            else:
                for row in rows:
                    found[row] = found.get(row, 0.0) + value
        weights = self._weights
        covered = [
            (max(value / weights[row], value / own_weight), value, row)
            for row, value in found.items()
        ]
        promising = [item for item in covered if item[0] >= coverage]
        promising.sort(
            key=lambda item: (-item[1] * (1 / weights[item[2]] + 1 / own_weight), item[2])
        )
        others = [row for share, _, row in covered if share < coverage]
        return [row for _, _, row in promising[:MAX_CANDIDATES]], others

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
            pairs = _letter_pairs(self._stem(reading))
            needed = MIN_SHARED_PAIRS * len(pairs)
            shared: Counter[int] = Counter()
            for pair in pairs:
                shared.update(self._tokens_by_pair.get(pair))
            for number, count in shared.items():
                if count < needed:
                    continue
                similarity = self._similarity(token, self._tokens[number])
                if similarity >= MIN_TOKEN_SIMILARITY:
                    similar[number] = similarity
        if len(self._similar) >= MAX_CACHED_TOKENS:
            self._similar.clear()
        self._similar[token] = similar
        return similar


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
