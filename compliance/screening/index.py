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
from compliance.screening.abbreviated import (
    Abbreviated,
    abbreviated_parts,
    pack_abbreviated,
)
from compliance.screening.countries import country_code
from compliance.screening.entries import Entry, EntryKind
from compliance.screening.given_names import called_by, what_it_takes
from compliance.screening.kana import is_in_unread_kanji
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
    most_effect,
    token_similarity,
    whole_part,
)
from compliance.screening.scripts import SCRIPTS, Script, key_similarity, skeleton
from compliance.screening.spelling import ListedWords, pack_words
from compliance.screening.view import View
from compliance.screening.view_packing import pack_view
from compliance.screening.whole import WholeNames, is_another_word, orders, pack_whole, whole_score

MAX_RESULTS = 50
MAX_READINGS = 64
MAX_CACHED_ENTRIES = 1_000
# A score of four digits is so much more than what it was, at most.
ROUNDING = 0.0001

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
        """Whether each name leaves something to compare with a list, and one can be read."""
        return all(
            is_comparable(name, is_person=kind) for name in self.names for kind in self.kinds
        ) and not is_in_unread_kanji(self.names, self.country_code)

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


def pack_index(entries: Iterable[Entry], beside: Iterable[Entry] = ()) -> bytes:
    """Everything that a `NameIndex` of these entries reads. Takes a second for some ten thousand
    names, and three more for the sound keys of all scripts.

    `beside` are the other entries of the list, if these are a part of it: their words count as
    the list's.
    """
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
    pack_view(packing, "main", zip(itertools.count(), normal, words, strict=False), has_sounds=True)
    listed_words = {token for name in normal for token in name.tokens}
    others = [
        (entry, normalise(name.text, is_person=entry.kind is EntryKind.PERSON))
        for entry in beside
        for name in entry.names
    ]
    listed_words.update(token for _, name in others for token in name.tokens)
    pack_words(packing, "words", listed_words)
    pack_abbreviated(
        packing,
        "abbreviated",
        (
            (row, listed[place].entry_id, normal[row])
            for row, (place, _, _, _) in enumerate(rows)
            if listed[place].kind is EntryKind.ORGANIZATION
        ),
        ((entry.entry_id, name) for entry, name in others if entry.kind is EntryKind.ORGANIZATION),
    )
    families = [family_words(text, is_person=is_person) for _, _, text, is_person in rows]
    # Places counted from one; none where the family name is not set apart.
    packing.numbers("rows.called", map(_called_place, normal, families))
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
        self._abbreviated = Abbreviated(packed, "abbreviated")
        self._called = packed.numbers("rows.called")
        self._is_weak = packed.numbers("rows.weak")
        self._packed = packed
        self._words = ListedWords(packed, "words")
        self._main = View(packed, "main", token_similarity, is_joined=False, words=self._words)
        self._whole = WholeNames(packed, "whole")
        # Opened when they are asked for: each takes a millisecond.
        self._by_keys: dict[str, View] = {}
        # Those that were found before.
        self._known: dict[int, Entry] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry], beside: Iterable[Entry] = ()) -> "NameIndex":
        """An index made here and now; see `pack_index`."""
        return cls(pack_index(entries, beside))

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
        least = threshold - most_effect(person.birth_date, person.country_code) - ROUNDING
        for name in person.names:
            for row, score, parts in self._matching(name, person, least):
                place = self._row_entries[row]
                is_weak = bool(self._is_weak[row])
                if not may_be(person.is_person, _KINDS[self._kinds[place]], is_weak=is_weak):
                    continue
                counted = score * WEAK_ALIAS_FACTOR if is_weak else score
                if place not in best or counted > best[place][0]:
                    best[place] = counted, row, name, parts
        # Dates and countries move all names of an entry alike.
        hits = [self._hit(person, *found) for found in best.values() if found[0] >= least]
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
            if not is_person:
                yield from self._matching_abbreviated(spelled)
            leading = family_words(name, is_person=is_person)
            for normal in spelled:
                called = self._called_by(normal, leading) if is_person else ""
                found = self._main.search(normal, has_initials=has_initials, least=least)
                for row, score, parts in found:
                    yield row, score - what_it_takes(parts, called, self._listed_called(row)), parts
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

    def _matching_abbreviated(self, names: Iterable[NormalName]) -> Iterator[Found]:
        """Rows of organisations that a short name may stand for."""
        for name in names:
            for row, score, is_whole in self._abbreviated.search(name):
                listed = self._main.name(row)
                parts = abbreviated_parts(name, listed)
                yield row, score, (whole_part(name, listed, score),) if is_whole else parts

    def _called_by(self, name: NormalName, family_words: int) -> str:
        """What somebody is called by if it is a name of the list: whatever else may be put before
        a name hides nobody."""
        called = called_by(name, family_words)
        return called if called in self._words else ""

    def _listed_called(self, row: int) -> str:
        place = self._called[row]
        return self._main.name(row).tokens[place - 1] if place else ""

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
                if score < least or is_another_word(name, listed):
                    continue
                if not edits or not self._is_of_other_words(name, listed):
                    # By its words if each has one that is like it.
                    _, parts = compare_names(name, listed)
                    is_by_words = len(parts) == len(listed.tokens)
                    whole = (whole_part(name, listed, score),)
                    yield row, score, parts if is_by_words else whole

    def _is_of_other_words(self, name: NormalName, listed: NormalName) -> bool:
        """Whether all words that are not the listed name's are words of the list all the same."""
        left = [token for token in name.tokens if token not in listed.tokens]
        right = [token for token in listed.tokens if token not in name.tokens]
        return bool(left) and all(self._words.is_another(token, right) for token in left)

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


def _called_place(name: NormalName, family_words: int) -> int:
    called = called_by(name, family_words) if family_words else ""
    return name.tokens.index(called, family_words) + 1 if called else 0


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
