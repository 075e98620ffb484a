"""An entry of a sanctions list, whichever list and format it came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from compliance.checks.canonical import dumps


class EntryKind(StrEnum):
    """What is listed."""

    PERSON = "PERSON"
    ORGANIZATION = "ORGANIZATION"
    VESSEL = "VESSEL"
    AIRCRAFT = "AIRCRAFT"


@dataclass(frozen=True)
class EntryName:
    """One of an entry's names; `type` is "name", "a.k.a.", "f.k.a.", "n.k.a." or "weak a.k.a."."""

    text: str
    type: str


@dataclass(frozen=True)
class Entry:
    """One listed person, organisation, vessel or aircraft.

    `birth_dates` are ISO 8601, whole or cut to the year or month. `countries` are the list's own
    words or codes, folded by whoever compares them.
    """

    entry_id: str
    kind: EntryKind
    names: tuple[EntryName, ...]
    programs: tuple[str, ...]
    birth_dates: tuple[str, ...]
    countries: tuple[str, ...]

    @property
    def name(self) -> str:
        """The main name."""
        return self.names[0].text

    @property
    def content_hash(self) -> str:
        """SHA-256 in hex over everything above: changes exactly when the entry does."""
        return hashlib.sha256(dumps(self).encode()).hexdigest()


@dataclass(frozen=True)
class ParsedList:
    """What a source holds; `quantities` count what of each kind, by its name in the plural.

    `may_lack` are quantities that a whole list of this format may have none of.
    """

    entries: tuple[Entry, ...]
    quantities: Mapping[str, int]
    may_lack: frozenset[str] = frozenset()


class BrokenListError(Exception):
    """A list cannot be used as it is; the message says what is wrong, and where."""
