"""Where a load goes: a warehouse keeps rows, what they add up to, and how far they reach."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from warehouse.totals import Key, Totals

# RFC 9162, section 2.1.1: what the hash of a leaf begins with.
LEAF_PREFIX = b"\x00"


def leaf_hash(leaf: bytes) -> bytes:
    """The hash by which the ledger's Merkle log knows a transaction, 32 bytes."""
    return sha256(LEAF_PREFIX + leaf).digest()


@dataclass(frozen=True)
class Position:
    """How far a ledger has been loaded: its last transaction here, and the hash of its leaf."""

    sequence: int = 0
    leaf_hash: bytes = b""


@dataclass(frozen=True)
class Span:
    """What a load consists of: transactions in order, as the leaves of the ledger's log.

    The leaves are canonical JSON, a line each; `docs/proofs.md` has the schema.
    """

    ledger: str
    after: Position
    leaves: Sequence[bytes]
    # When the last of them was the ledger's last, in the ledger's own time.
    moment: datetime

    @property
    def through(self) -> Position:
        """Where the warehouse is after it."""
        if not self.leaves:
            return self.after
        return Position(self.after.sequence + len(self.leaves), leaf_hash(self.leaves[-1]))


class LoadRefusedError(Exception):
    """Rows that are not what the ledger has: nothing of them was kept."""


class AnotherLoadError(Exception):
    """Somebody else loads this ledger, or has meanwhile."""


class Staged(NamedTuple):
    """What the leaves say of themselves, in the order of `sql/staged.sql`."""

    leaves: int
    sequences: int
    first: int
    last: int
    first_ledger: str
    last_ledger: str


def check_staged(span: Span, row: Sequence[Any]) -> None:
    """Raises `LoadRefusedError` unless each transaction of the span is there once."""
    staged = Staged(*row)
    first, last = span.after.sequence + 1, span.through.sequence
    if (staged.leaves, staged.sequences) != (len(span.leaves), len(span.leaves)):
        raise LoadRefusedError(
            f"of {len(span.leaves)} leaves {staged.leaves} were read, {staged.sequences} of them"
            " transactions of their own"
        )
    if (staged.first, staged.last) != (first, last):
        raise LoadRefusedError(
            f"the leaves are those of {staged.first} to {staged.last}, not of {first} to {last}"
        )
    if (staged.first_ledger, staged.last_ledger) != (span.ledger, span.ledger):
        raise LoadRefusedError("the leaves are those of another ledger")


class Load(Protocol):
    """Rows of a span that nobody sees yet."""

    def totals(self) -> Mapping[Key, Totals]:
        """What all rows of the ledger add up to with these, at the span's moment."""

    def keep(self) -> None:
        """Commits rows and position, both or none."""


class Sink(Protocol):
    """A warehouse."""

    def prepare(self) -> None:
        """Makes the tables and views that are not there yet."""

    def position(self, ledger: str) -> Position:
        """How far the ledger has been loaded."""

    def load(self, span: Span) -> AbstractContextManager[Load]:
        """Writes rows; they are gone again unless they are kept.

        Raises `LoadRefusedError` for leaves that are not the span's, and `AnotherLoadError`.
        """
