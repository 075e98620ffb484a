"""Finds the list entries that a name may be, without comparing it with every one.

A name is searched in each of its readings, and where a side is written in a script that has sound
keys (see scripts.py), by these, too. Packed once for a list version, by another process
(builder.py), then only read.
"""

import itertools
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compliance.checks.canonical import dumps, loads
from compliance.screening.countries import country_code
from compliance.screening.entries import Entry, EntryKind
from compliance.screening.listed import WEAK
from compliance.screening.names import (
    ALTERNATIVES,
    GENERIC_WORDS,
    LEGAL_FORMS,
    NormalName,
    fold,
    is_comparable,
    normalise,
)
from compliance.screening.packed import Packed, PackedStrings, Packing
from compliance.screening.readings import readings
from compliance.screening.scoring import (
    WEAK_ALIAS_FACTOR,
    Explanation,
    MatchedPart,
    birth_date_effect,
    compare_names,
    country_effect,
    may_be,
    token_similarity,
    whole_part,
)
from compliance.screening.scripts import SCRIPTS, Script, key_similarity, skeleton
from compliance.screening.view import View, pack_view
from compliance.screening.whole import WholeNames, is_another_word, orders, pack_whole, whole_score

MAX_RESULTS = 50
MAX_READINGS = 64
MAX_CACHED_ENTRIES = 1_000
# What dates and countries can add to a name's score at most.
MAX_EFFECT = 0.07

_KINDS = tuple(EntryKind)

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


def pack_index(entries: Iterable[Entry]) -> bytes:
    """Everything that a `NameIndex` of these entries reads. Takes a second for some ten thousand
    names, and three more for the sound keys of all scripts."""
    packing = Packing()
    listed = list(entries)
    packing.strings("entries", map(dumps, listed))
    packing.numbers("kinds", (_KINDS.index(entry.kind) for entry in listed))
    packing.strings("countries", (" ".join(_codes(entry.countries)) for entry in listed))
    # One row for each name of each entry: the entry's place and the name's.
    rows = [
        (place, number, name.text, entry.kind is EntryKind.PERSON)
        for place, entry in enumerate(listed)
        for number, name in enumerate(entry.names)
    ]
    packing.numbers("rows.entries", (place for place, _, _, _ in rows))
    packing.numbers("rows.names", (number for _, number, _, _ in rows))
    packing.numbers(
        "rows.weak", (listed[place].names[number].type == WEAK for place, number, _, _ in rows)
    )
    normal = [normalise(text, is_person=is_person) for _, _, text, is_person in rows]
    words = (tuple(fold(text).split()) for _, _, text, _ in rows)
    pack_view(packing, "main", zip(itertools.count(), normal, words, strict=False))
    families = (family_words(text, is_person=is_person) for _, _, text, is_person in rows)
    pack_whole(
        packing, "whole", zip(normal, families, (fold(text) for _, _, text, _ in rows), strict=True)
    )
    for script in SCRIPTS:
        # By a script's sound keys: of names in Latin letters, and of names in the script.
        latin = ((row, _latin_key(script, name)) for row, name in enumerate(normal))
        native = (
            (row, reading)
            for row, (_, _, text, is_person) in enumerate(rows)
            if not text.isascii() and script.is_of(text)
            for key in _native_keys(script, text, is_person=is_person)
            for reading in _each_reading(key)
        )
        for side, keys in (("latin", latin), ("native", native)):
            pack_view(
                packing,
                f"{script.name}.{side}",
                ((row, key, key.tokens) for row, key in keys),
                skeleton,
            )
    return packing.to_bytes()


class NameIndex:
    """The names of a list version, searchable; reads what `pack_index` wrote."""

    def __init__(self, content: "bytes | mmap.mmap") -> None:
        packed = Packed(memoryview(content))
        self.size = packed.size
        self._entries = PackedStrings(packed, "entries")
        self._kinds = packed.numbers("kinds")
        self._countries = PackedStrings(packed, "countries")
        self._row_entries = packed.numbers("rows.entries")
        self._row_names = packed.numbers("rows.names")
        self._is_weak = packed.numbers("rows.weak")
        self._packed = packed
        self._main = View(packed, "main", token_similarity, is_joined=False)
        self._whole = WholeNames(packed, "whole")
        # Opened when they are asked for: each takes a millisecond.
        self._by_keys: dict[str, View] = {}
        # Those that were found before.
        self._known: dict[int, Entry] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "NameIndex":
        """An index made here and now."""
        return cls(pack_index(entries))

    def forget(self, count: int = 500) -> bool:
        """Gives back some of the memory that searches took; False if there is nothing left.

        Freeing everything at once would stop the process for as long as it takes.
        """
        return any(view.forget(count) for view in (self._main, *self._by_keys.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def search(self, person: ScreenedPerson, threshold: float) -> list[Hit]:
        """The entries that score `threshold` or more, the surest first, at most MAX_RESULTS."""
        best: dict[int, tuple[float, int, str, tuple[MatchedPart, ...]]] = {}
        for name in person.names:
            for row, score, parts in self._matching(name, person, threshold - MAX_EFFECT):
                place = self._row_entries[row]
                if not may_be(person.is_person, _KINDS[self._kinds[place]]):
                    continue
                counted = score * WEAK_ALIAS_FACTOR if self._is_weak[row] else score
                if place not in best or counted > best[place][0]:
                    best[place] = counted, row, name, parts
        # Dates and countries move all names of an entry alike.
        hits = [self._hit(person, *found) for found in best.values()]
        found = [hit for hit in hits if hit.score >= threshold]
        return sorted(found, key=lambda hit: (-hit.score, hit.entry.entry_id))[:MAX_RESULTS]

    def _matching(self, name: str, person: ScreenedPerson, least: float) -> Iterator[Found]:
        """Rows that match a name in any of its readings, perhaps several times."""
        for is_person in person.kinds:
            has_initials = self._is_person_row if is_person else _never
            spelled = {
                normalise(reading, is_person=is_person): fold(reading)
                for reading in reversed(readings(name))
            }
            for normal in spelled:
                yield from self._main.search(normal, has_initials=has_initials, least=least)
            leading = family_words(name, is_person=is_person)
            for normal, folded in spelled.items():
                yield from self._matching_whole(normal, leading, folded, least)
            for script in SCRIPTS:
                if script.is_of(name):
                    view = self._keys_of(script, "latin")
                    for key in _native_keys(script, name, is_person=is_person):
                        yield from view.search(key, has_initials=has_initials, least=least)
                elif len(view := self._keys_of(script, "native")):
                    latin = _latin_key(script, next(reversed(spelled)))
                    yield from view.search(latin, has_initials=has_initials, least=least)

    def _matching_whole(
        self, name: NormalName, leading: int, folded: str, least: float
    ) -> Iterator[Found]:
        """Rows whose letters are nearly all the same, wherever the words begin."""
        for letters in orders(name, leading, folded):
            for row, edits in self._whole.search(letters):
                listed = self._main.name(row)
                if sorted(name.tokens) == sorted(listed.tokens):
                    continue  # Found by its words.
                score = whole_score(edits, listed)
                if score >= least and not is_another_word(name, listed):
                    # By its words if each has one that is like it.
                    _, parts = compare_names(name, listed)
                    is_by_words = len(parts) == len(listed.tokens)
                    whole = (whole_part(name, listed, score),)
                    yield row, score, parts if is_by_words else whole

    def _keys_of(self, script: Script, side: str) -> View:
        name = f"{script.name}.{side}"
        if name not in self._by_keys:
            self._by_keys[name] = View(self._packed, name, key_similarity, skeleton)
        return self._by_keys[name]

    def _is_person_row(self, row: int) -> bool:
        return _KINDS[self._kinds[self._row_entries[row]]] is EntryKind.PERSON

    def _entry(self, place: int) -> Entry:
        entry = self._known.get(place)
        if entry is None:
            if len(self._known) >= MAX_CACHED_ENTRIES:
                self._known.clear()
            entry = loads(self._entries[place], Entry)
            self._known[place] = entry
        return entry

    def _hit(
        self,
        person: ScreenedPerson,
        name_score: float,
        row: int,
        name: str,
        parts: tuple[MatchedPart, ...],
    ) -> Hit:
        place = self._row_entries[row]
        entry = self._entry(place)
        listed_name = entry.names[self._row_names[row]]
        explanation = Explanation(
            subject_name=name,
            list_name=listed_name.text,
            list_name_type=listed_name.type,
            parts=parts,
            name_score=round(name_score, 4),
            birth_date_effect=birth_date_effect(person.birth_date, entry.birth_dates),
            country_effect=country_effect(
                person.country_code, tuple(self._countries[place].split())
            ),
        )
        return Hit(entry, explanation)


def family_words(name: str, *, is_person: bool) -> int:
    """How many words stand before the comma that sets a person's family name apart."""
    family, comma, _ = name.partition(",")
    return len(normalise(family, is_person=True).tokens) if comma and is_person else 0


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
