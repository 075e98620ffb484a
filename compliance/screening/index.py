"""Finds the list entries that a name may be, without comparing it with every one.

Words are found by the pairs of letters they share, entries by their words. Of the entries found,
the most promising are scored in full. Built once for a list version, then only read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compliance.screening.countries import country_code
from compliance.screening.entries import Entry, EntryKind
from compliance.screening.names import NormalName, is_comparable, normalise, weight
from compliance.screening.scoring import (
    MIN_TOKEN_SIMILARITY,
    WEAK_ALIAS_FACTOR,
    Explanation,
    birth_date_effect,
    compare_names,
    country_effect,
    may_be,
    token_similarity,
)

MAX_CANDIDATES = 200
MAX_RESULTS = 50
MAX_CACHED_TOKENS = 50_000
# The share of its letter pairs that a word has to have in common with one that is like it.
MIN_SHARED_PAIRS = 0.4


@dataclass(frozen=True)
class ScreenedPerson:
    """Who is screened. `birth_date` is ISO 8601, whole or cut, or empty; so is `country_code`."""

    names: tuple[str, ...]
    is_person: bool
    birth_date: str
    country_code: str

    @property
    def is_comparable(self) -> bool:
        """Whether each of the names leaves something to compare with a list."""
        return all(is_comparable(name, is_person=self.is_person) for name in self.names)


@dataclass(frozen=True)
class Hit:
    """An entry that somebody may be; `score` is 0 to 1."""

    entry: Entry
    explanation: Explanation

    @property
    def score(self) -> float:
        return self.explanation.score


class NameIndex:
    """The names of a list version, searchable."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: list[Entry] = list(entries)
        self._countries = [_codes(entry.countries) for entry in self._entries]
        # One row for each name of each entry: (entry's place, name's place, its words).
        self._rows: list[tuple[int, int, NormalName]] = []
        self._rows_by_token: dict[str, list[int]] = defaultdict(list)
        for place, entry in enumerate(self._entries):
            is_person = entry.kind is EntryKind.PERSON
            for number, name in enumerate(entry.names):
                normal = normalise(name.text, is_person=is_person)
                row = len(self._rows)
                self._rows.append((place, number, normal))
                for token in _search_tokens(normal):
                    self._rows_by_token[token].append(row)
        # Words alone can be found by words that are like them; joined ones as they are only, or
        # they would be most of what is searched.
        self._tokens = list(dict.fromkeys(t for _, _, name in self._rows for t in name.tokens))
        self._tokens_by_pair: dict[str, list[int]] = defaultdict(list)
        for number, token in enumerate(self._tokens):
            for pair in _letter_pairs(token):
                self._tokens_by_pair[pair].append(number)
        self._similar: dict[str, dict[str, float]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def search(self, person: ScreenedPerson, threshold: float) -> list[Hit]:
        """The entries that score `threshold` or more, the surest first, at most MAX_RESULTS."""
        best: dict[int, Hit] = {}
        for name in person.names:
            normal = normalise(name, is_person=person.is_person)
            for row in self._candidates(normal):
                hit = self._score(person, name, normal, row)
                place = self._rows[row][0]
                if hit.score >= threshold and (place not in best or hit.score > best[place].score):
                    best[place] = hit
        ordered = sorted(best.values(), key=lambda hit: (-hit.score, hit.entry.entry_id))
        return ordered[:MAX_RESULTS]

    def _score(self, person: ScreenedPerson, name: str, normal: NormalName, row: int) -> Hit:
        place, number, listed = self._rows[row]
        entry = self._entries[place]
        if not may_be(person.is_person, entry):
            return Hit(entry, Explanation(name, entry.name, "name", (), 0.0, 0.0, 0.0))
        listed_name = entry.names[number]
        name_score, parts = compare_names(normal, listed)
        if listed_name.type == "weak a.k.a.":
            name_score *= WEAK_ALIAS_FACTOR
        explanation = Explanation(
            subject_name=name,
            list_name=listed_name.text,
            list_name_type=listed_name.type,
            parts=parts,
            name_score=round(name_score, 4),
            birth_date_effect=birth_date_effect(person.birth_date, entry.birth_dates),
            country_effect=country_effect(person.country_code, self._countries[place]),
        )
        return Hit(entry, explanation)

    def _candidates(self, name: NormalName) -> Sequence[int]:
        """The rows that share the most telling words with the name."""
        worth: dict[str, float] = {}
        for token in _search_tokens(name):
            if token in self._rows_by_token:
                worth[token] = weight(token)
        for token in set(name.tokens):
            for similar, similarity in self._similar_tokens(token).items():
                worth[similar] = max(worth.get(similar, 0.0), similarity * weight(similar))
        found: dict[int, float] = defaultdict(float)
        for token, value in worth.items():
            for row in self._rows_by_token[token]:
                found[row] += value
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [row for row, _ in ranked[:MAX_CANDIDATES]]

    def _similar_tokens(self, token: str) -> dict[str, float]:
        """The list's words that are like this one, with how much."""
        cached = self._similar.get(token)
        if cached is not None:
            return cached
        pairs = _letter_pairs(token)
        needed = MIN_SHARED_PAIRS * len(pairs)
        shared: Counter[int] = Counter()
        for pair in pairs:
            shared.update(self._tokens_by_pair.get(pair, ()))
        similar: dict[str, float] = {}
        for number, count in shared.items():
            if count < needed:
                continue
            similarity = token_similarity(token, self._tokens[number])
            if similarity >= MIN_TOKEN_SIMILARITY:
                similar[self._tokens[number]] = similarity
        if len(self._similar) >= MAX_CACHED_TOKENS:
            self._similar.clear()
        self._similar[token] = similar
        return similar


def _search_tokens(name: NormalName) -> set[str]:
    """The words, and neighbouring words written as one: "alqaida" for "al qaida"."""
    neighbours = {
        first + second for first, second in zip(name.tokens, name.tokens[1:], strict=False)
    }
    return {*name.tokens, *neighbours}


def _letter_pairs(token: str) -> set[str]:
    framed = f"^{token}$"
    return {framed[place : place + 2] for place in range(len(framed) - 1)}


def _codes(countries: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({code for text in countries if (code := country_code(text))}))
