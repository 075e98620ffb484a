"""Names of a list in one spelling, searchable by words that are like theirs.

Words are found by the pairs of letters they share, names by their words. Of the names found, the
most promising are compared in full. Built once, then only read.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from compliance.screening.names import ALTERNATIVES, NormalName, weight
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
MAX_CACHED_TOKENS = 50_000
# The share of its letter pairs that a word has to have in common with one that is like it.
MIN_SHARED_PAIRS = 0.4
# Of either name, by weight and without single letters, has to be found in the other to compare
# their words: with less no score reaches the threshold.
MIN_COVERAGE = 0.7
# Words that say this little find a name only beside others, unless there are no others.
LITTLE_WEIGHT = 0.5
MIN_JOINED_LENGTH, MAX_ARRANGED_WORDS = 6, 8


class View:
    """Names by numbers of their owner's, which may have several each and is found by any."""

    def __init__(
        self,
        rows: Iterable[tuple[int, NormalName, tuple[str, ...]]],
        similarity: Likeness,
        stem: Callable[[str], str] = str,
    ) -> None:
        """`rows` are a number, its words, and all its words with those that do not count.

        Words are looked for by the letters of their `stem`.
        """
        self._similarity = similarity
        self._stem = stem
        self._rows: list[tuple[int, NormalName, float]] = []
        # Words and letters of each row.
        self._lengths: list[tuple[int, int]] = []
        self._rows_by_token: dict[str, list[int]] = defaultdict(list)
        self._rows_by_run: dict[str, list[int]] = defaultdict(list)
        self._rows_by_letters: dict[str, list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
        for number, name, all_words in rows:
            row = len(self._rows)
            self._rows.append((number, name, _telling_weight(name)))
            self._lengths.append((len(name.tokens), len(name.joined)))
            for token in dict.fromkeys(name.tokens):
                self._rows_by_token[token].append(row)
            for run in _runs(name, stem):
                self._rows_by_run[run].append(row)
            for words in {name.tokens, all_words}:
                if 1 < len(words) <= MAX_ARRANGED_WORDS:
                    self._rows_by_letters[_letters(words)].append((row, words))
        self._tokens = list(self._rows_by_token)
        self._tokens_by_stem: dict[str, list[str]] = defaultdict(list)
        self._tokens_by_pair: dict[str, list[int]] = defaultdict(list)
        for number, token in enumerate(self._tokens):
            self._tokens_by_stem[stem(token)].append(token)
            for pair in _letter_pairs(stem(token)):
                self._tokens_by_pair[pair].append(number)
        self._similar: dict[str, dict[str, float]] = {}

    def __len__(self) -> int:
        return len(self._rows)

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
        for row, words in self._rows_by_letters.get(_letters(name.tokens), ()):
            is_candidate = row not in seen and len(words) != len(name.tokens)
            if is_candidate and len(joined) >= MIN_JOINED_LENGTH and is_arranged(words, joined):
                seen.add(row)
                yield self._rows[row][0], 1.0, (MatchedPart(joined, " ".join(words), 1.0),)
        by_run = self._by_run(name)
        for row in by_run:
            if row not in seen:
                seen.add(row)
                number, listed, _ = self._rows[row]
                one, other = merged(name, listed, self._stem), merged(listed, name, self._stem)
                score, parts = compare_names(
                    one, other, self._similarity, has_initials=has_initials(number)
                )
                if score >= least:
                    yield number, score, parts
        promising, others = self._candidates(similar, own_weight, min(MIN_COVERAGE, least))
        for row in self._as_long_as(name, others):
            number, listed, _ = self._rows[row]
            score = joined_score(name, listed)
            if row not in seen and score >= max(least, MIN_JOINED_SIMILARITY):
                yield number, score, (whole_part(name, listed, score),)
        for row in promising:
            if row not in seen:
                number, listed, _ = self._rows[row]
                pairs = [
                    (similarity, left, right)
                    for left, likes in alike
                    for right, other in enumerate(listed.tokens)
                    if (similarity := likes.get(other))
                ]
                score, parts = compare_names(
                    name, listed, pairs=pairs, has_initials=has_initials(number)
                )
                if score >= least:
                    yield number, score, parts

    def _by_run(self, name: NormalName) -> list[int]:
        """Rows that have a word of the name as several words, or several as one."""
        found: dict[int, float] = defaultdict(float)
        for token in set(name.tokens):
            for row in self._rows_by_run.get(self._stem(token), ()):
                found[row] += weight(token)
        for run in _runs(name, self._stem):
            for token in self._tokens_by_stem.get(run, ()):
                for row in self._rows_by_token[token]:
                    found[row] += weight(token)
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [row for row, _ in ranked[:MAX_CANDIDATES]]

    def _candidates(
        self, similar: dict[str, dict[str, float]], own_weight: float, coverage: float
    ) -> tuple[list[int], list[int]]:
        """The rows of which most is found in the name, or the other way round; and the others."""
        worth: dict[str, float] = {}
        for likes in similar.values():
            for token, similarity in likes.items():
                worth[token] = max(worth.get(token, 0.0), similarity * weight(token))
        found: dict[int, float] = {}
        ordered = sorted(worth.items(), key=lambda item: (-item[1], item[0]))
        for token, value in ordered:
            rows = self._rows_by_token[token]
            if value < LITTLE_WEIGHT and found:
                for row in rows:
                    if row in found:
                        found[row] += value
            else:
                for row in rows:
                    found[row] = found.get(row, 0.0) + value
        covered = [
            (max(value / self._rows[row][2], value / own_weight), value, row)
            for row, value in found.items()
        ]
        promising = [item for item in covered if item[0] >= coverage]
        promising.sort(
            key=lambda item: (-item[1] * (1 / self._rows[item[2]][2] + 1 / own_weight), item[2])
        )
        others = [row for share, _, row in covered if share < coverage]
        return [row for _, _, row in promising[:MAX_CANDIDATES]], others

    def _as_long_as(self, name: NormalName, rows: list[int]) -> list[int]:
        """Rows of nearly as many letters in another number of words: joined with a typo."""
        words, letters = len(name.tokens), len(name.joined)
        slack = letters * (1 - MIN_JOINED_SIMILARITY) + 1
        lengths = self._lengths
        return [
            row
            for row in rows
            if lengths[row][0] != words and abs(lengths[row][1] - letters) <= slack
        ]

    def _similar_tokens(self, token: str) -> dict[str, float]:
        """The list's words that are like this one, with how much."""
        cached = self._similar.get(token)
        if cached is not None:
            return cached
        similar: dict[str, float] = {}
        for reading in token.split(ALTERNATIVES):
            pairs = _letter_pairs(self._stem(reading))
            needed = MIN_SHARED_PAIRS * len(pairs)
            shared: Counter[int] = Counter()
            for pair in pairs:
                shared.update(self._tokens_by_pair.get(pair, ()))
            for number, count in shared.items():
                if count < needed:
                    continue
                similarity = self._similarity(token, self._tokens[number])
                if similarity >= MIN_TOKEN_SIMILARITY:
                    similar[self._tokens[number]] = similarity
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
