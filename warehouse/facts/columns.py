"""How a table of the warehouse is declared: once, for every warehouse, with all its columns."""

from dataclasses import dataclass
from enum import Enum

# What every row of facts has beside its own columns: the load that brought it, and when that was.
LOAD_NUMBER, LOAD_TIME = "load_number", "load_time"
# The place of a change in its feed.
GENERATION, EPOCH, SEQUENCE = "generation", "epoch", "sequence"
# Of a version: what its content hashes to, and whether its source has it no longer.
DIGEST, IS_GONE = "digest", "is_gone"


class Type(Enum):
    """What a column holds. Its value is the name of the type in DuckDB."""

    # Minor units, sequences, counts: 64 bits with a sign.
    INTEGER = "BIGINT"
    TEXT = "VARCHAR"
    BOOLEAN = "BOOLEAN"
    # An instant, to the microsecond.
    TIME = "TIMESTAMPTZ"


@dataclass(frozen=True)
class Column:
    """A column. Those that a later release adds stand at the end and may be empty."""

    name: str
    type: Type
    is_required: bool = False


class Kind(Enum):
    """How the rows of a table relate to each other."""

    # Each row is a message of a feed, in its place; the last one of a key is how things stand.
    CHANGES = "changes"
    # Each row is how something was found; one that is found as it was is not written again.
    VERSIONS = "versions"


@dataclass(frozen=True)
class Table:
    """A table, and the view of the same rows as they stand.

    `key` names what a row is about; of versions it is one column. `scope` is the column by which a
    source says that it has told all there is.
    """

    name: str
    view: str
    source: str
    kind: Kind
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    scope: str = ""

    @property
    def own_columns(self) -> tuple[Column, ...]:
        """What a source gives of a row, in order: its place or its digest first."""
        if self.kind is Kind.CHANGES:
            place = tuple(
                Column(name, Type.INTEGER, is_required=True) for name in (EPOCH, SEQUENCE)
            )
            return place + self.columns
        return (Column(DIGEST, Type.TEXT, is_required=True), *self.columns)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """What a row has in the table. What was there first stays first: later columns are added
        at the end of tables and views."""
        first = [
            Column(LOAD_NUMBER, Type.INTEGER, is_required=True),
            Column(LOAD_TIME, Type.TIME, is_required=True),
        ]
        if self.kind is Kind.CHANGES:
            first.append(Column(GENERATION, Type.INTEGER, is_required=True))
        else:
            first.append(Column(IS_GONE, Type.BOOLEAN, is_required=True))
        return (*first, *self.own_columns)


def text(name: str) -> Column:
    """A column of text that may be empty."""
    return Column(name, Type.TEXT)


def integer(name: str) -> Column:
    """A column of whole numbers that may be empty."""
    return Column(name, Type.INTEGER)


def time(name: str) -> Column:
    """A column of instants that may be empty."""
    return Column(name, Type.TIME)


def boolean(name: str) -> Column:
    """A column of truth values that may be empty."""
    return Column(name, Type.BOOLEAN)


def json_text(name: str) -> Column:
    """A column of JSON as text, in which whole numbers are strings; it may be empty."""
    return text(name)


def required(*columns: Column) -> tuple[Column, ...]:
    """The same columns, which are never empty."""
    return tuple(Column(column.name, column.type, is_required=True) for column in columns)
