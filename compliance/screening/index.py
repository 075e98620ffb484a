"""Finds the list entries that a name may be, without comparing it with every one.

A name is searched in each of its readings, and where a side is written in a script that has sound
keys (see scripts.py), by these, too. Built once for a list version, then only read.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compliance.screening.countries import country_code
from compliance.screening.entries import Entry, EntryKind
from compliance.screening.names import (
    ALTERNATIVES,
    GENERIC_WORDS,
    LEGAL_FORMS,
    NormalName,
    fold,
    is_comparable,
    normalise,
)
from compliance.screening.readings import readings
from compliance.screening.scoring import (
    WEAK_ALIAS_FACTOR,
    Explanation,
    MatchedPart,
    birth_date_effect,
    country_effect,
    may_be,
    token_similarity,
)
from compliance.screening.scripts import SCRIPTS, Script, key_similarity, skeleton
from compliance.screening.view import View

MAX_RESULTS = 50
MAX_READINGS = 64
# What dates and countries can add to a name's score at most.
MAX_EFFECT = 0.07

Found = tuple[int, float, tuple[MatchedPart, ...]]


@dataclass(frozen=True)
class ScreenedPerson:
    """Who is screened; `is_person` is None where nobody said, which is screened as both.

    `birth_date` is ISO 8601, whole or cut, or empty; so is `country_code`.
    """

    names: tuple[str, ...]
    is_person: bool | None
    birth_date: str
    country_code: str

    @property
    def is_comparable(self) -> bool:
        """Whether each of the names leaves something to compare with a list."""
        return all(
            is_comparable(name, is_person=kind) for name in self.names for kind in self.kinds
        )

    @property
    def kinds(self) -> tuple[bool, ...]:
        """What `is_person` may be."""
        return (True, False) if self.is_person is None else (self.is_person,)


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
        # One row for each name of each entry: (entry's place, name's place).
        self._rows: list[tuple[int, int]] = []
        self._normal: list[NormalName] = []
        for place, entry in enumerate(self._entries):
            is_person = entry.kind is EntryKind.PERSON
            for number, name in enumerate(entry.names):
                self._rows.append((place, number))
                self._normal.append(normalise(name.text, is_person=is_person))
        self._main = View(
            (
                (row, normal, tuple(fold(self._text(row)).split()))
                for row, normal in enumerate(self._normal)
            ),
            token_similarity,
        )
        # By a script's sound keys: of names in Latin letters, and of names in the script.
        self._latin: dict[str, View] = {}
        self._native = {script.name: self._native_view(script) for script in SCRIPTS}

    def __len__(self) -> int:
        return len(self._entries)

    def search(self, person: ScreenedPerson, threshold: float) -> list[Hit]:
        """The entries that score `threshold` or more, the surest first, at most MAX_RESULTS."""
        best: dict[int, Hit] = {}
        for name in person.names:
            for row, score, parts in self._matching(name, person, threshold - MAX_EFFECT):
                place = self._rows[row][0]
                if not may_be(person.is_person, self._entries[place]):
                    continue
                hit = self._hit(person, name, row, score, parts)
                if hit.score >= threshold and (place not in best or hit.score > best[place].score):
                    best[place] = hit
        ordered = sorted(best.values(), key=lambda hit: (-hit.score, hit.entry.entry_id))
        return ordered[:MAX_RESULTS]

    def _matching(self, name: str, person: ScreenedPerson, least: float) -> Iterator[Found]:
        """Rows that match a name in any of its readings, perhaps several times."""
        for is_person in person.kinds:
            has_initials = self._is_person_row if is_person else _never
            spelled = dict.fromkeys(
                normalise(reading, is_person=is_person) for reading in readings(name)
            )
            for normal in spelled:
                yield from self._main.search(normal, has_initials=has_initials, least=least)
            for script in SCRIPTS:
                if script.is_of(name):
                    view = self._latin_view(script)
                    for key in _native_keys(script, name, is_person=is_person):
                        yield from view.search(key, has_initials=has_initials, least=least)
                elif len(self._native[script.name]):
                    latin = _latin_key(script, next(iter(spelled)))
                    view = self._native[script.name]
                    yield from view.search(latin, has_initials=has_initials, least=least)

    def _is_person_row(self, row: int) -> bool:
        return self._entries[self._rows[row][0]].kind is EntryKind.PERSON

    def _text(self, row: int) -> str:
        place, number = self._rows[row]
        return self._entries[place].names[number].text

    def _native_view(self, script: Script) -> View:
        return View(
            (
                (row, key, key.tokens)
                for row in range(len(self._rows))
                if not self._text(row).isascii() and script.is_of(self._text(row))
                for name in _native_keys(
                    script, self._text(row), is_person=self._is_person_row(row)
                )
                for key in _each_reading(name)
            ),
            key_similarity,
            skeleton,
        )

    def _latin_view(self, script: Script) -> View:
        """Made when a name in the script first comes: few lists meet every script."""
        if script.name not in self._latin:
            keys = (_latin_key(script, normal) for normal in self._normal)
            self._latin[script.name] = View(
                ((row, key, key.tokens) for row, key in enumerate(keys)), key_similarity, skeleton
            )
        return self._latin[script.name]

    def _hit(
        self,
        person: ScreenedPerson,
        name: str,
        row: int,
        name_score: float,
        parts: tuple[MatchedPart, ...],
    ) -> Hit:
        place, number = self._rows[row]
        entry = self._entries[place]
        listed_name = entry.names[number]
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


def _never(_row: int) -> bool:
    return False


def _latin_key(script: Script, normal: NormalName) -> NormalName:
    telling = [token for token in normal.tokens if token not in GENERIC_WORDS] or normal.tokens
    return NormalName(tuple(script.latin(" ".join(telling)).split()))


def _each_reading(name: NormalName) -> Iterator[NormalName]:
    """The name with each choice of its words' readings, as far as a name can be long."""
    choices = itertools.product(*(token.split(ALTERNATIVES) for token in name.tokens))
    return map(NormalName, itertools.islice(choices, MAX_READINGS))


def _native_keys(script: Script, name: str, *, is_person: bool) -> list[NormalName]:
    """The readings of a name in the script; its Latin words, such as legal forms, by their keys."""
    native = " ".join(word for word in name.split() if not word.isascii())
    latin = normalise(
        " ".join(word for word in name.split() if word.isascii()), is_person=is_person
    )
    left = [t for t in latin.tokens if t not in LEGAL_FORMS and t not in GENERIC_WORDS]
    more = script.latin(" ".join(left)).split()
    return [NormalName((*reading.split(), *more)) for reading in script.native(native)]


def _codes(countries: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({code for text in countries if (code := country_code(text))}))
