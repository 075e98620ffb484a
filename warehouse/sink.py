"""Where a load goes: a warehouse keeps rows, what they add up to, and how far they reach."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

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
