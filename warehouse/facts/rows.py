"""Rows and batches of them, and how messages of the services become values of columns. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from warehouse.facts.columns import DIGEST, Table
from warehouse.files.stripe_file import StripeFile, Summary

Value = str | int | bool | datetime | None
# By column; what is not there is empty.
Row = Mapping[str, Value]


@dataclass(frozen=True, order=True)
class Place:
    """A place in a feed: sequences of a higher epoch come after those of a lower one."""

    epoch: int = 0
    sequence: int = 0


BEGINNING = Place()


@dataclass(frozen=True)
class Position:
    """How far a source has been loaded. `generation` counts how often it had to go back, because
    its service was restored; `mark` is what the last message hashes to, `load_number` the load."""

    place: Place = BEGINNING
    generation: int = 0
    mark: str = ""
    load_number: int = 0


@dataclass(frozen=True)
class All:
    """That a source has told all rows of a table that there are of some scopes, or at all."""

    table: Table
    # Values of the table's scope; None for the whole table.
    scopes: frozenset[str] | None
    # The keys that it has told.
    keys: frozenset[str]


@dataclass(frozen=True)
class Batch:
    """Rows that are written together, and the place after them.

    Of the versions of one key the last one counts. `news_time` is when the oldest of them was news
    at its service, if there is one.
    """

    place: Place
    mark: str = ""
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    complete: Sequence[All] = ()
    news_time: datetime | None = None
    # Files whose rows are written with them.
    files: Sequence[tuple[StripeFile, Summary]] = ()
    # Where the source had to go back to before these rows.
    goes_back: bool = False


def version(row: Row) -> Row:
    """The row with what it hashes to, as tables of versions have it."""
    return {DIGEST: digest_of(row), **row}


def digest_of(row: Row) -> str:
    """SHA-256, in hex, of all that is not empty."""
    content = {name: text_of(value) for name, value in row.items() if value is not None}
    told = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def text_of(value: Value) -> str | None:
    """A value as text that both warehouses read exactly."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return None if value is None else str(value)


def last_of_each(table: Table, rows: Iterable[Row]) -> list[Row]:
    """Of several versions of one key the last one, in order."""
    (name,) = table.key
    return list({row[name]: row for row in rows}.values())


def mark_of(message: Message) -> str:
    """What a message hashes to, in hex."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def word(kind: Any, prefix: str, value: int) -> str | None:
    """An enum's value without its prefix; None for the unspecified one. A value that this release
    does not know is its number."""
    if not value:
        return None
    known = kind.DESCRIPTOR.values_by_number.get(value)
    return str(value) if known is None else known.name.removeprefix(prefix)


def instant(message: Message, name: str) -> datetime | None:
    """A field of time, to the microsecond."""
    if not message.HasField(name):
        return None
    told: datetime = getattr(message, name).ToDatetime(tzinfo=UTC)
    return told


def minor(message: Message, name: str) -> int | None:
    """The minor units of a field of money."""
    return int(getattr(message, name).minor_units) if message.HasField(name) else None


def currency(message: Message, name: str) -> str | None:
    """The currency of a field of money."""
    return str(getattr(message, name).currency_code) if message.HasField(name) else None


def flag(message: Message, name: str) -> bool | None:
    """An optional truth value."""
    return bool(getattr(message, name)) if message.HasField(name) else None


def json_of(content: Any) -> str:
    """JSON as the warehouse has it: keys in order, nothing that is not ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
