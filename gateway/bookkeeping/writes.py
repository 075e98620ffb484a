"""What the ledger is asked to do for a fact. Plain data."""

from dataclasses import dataclass

from gateway.bookkeeping.chart import Account, Side


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction: a positive amount on one account."""

    account: Account
    side: Side
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Create:
    """A new ledger transaction; a `hold` reserves without moving (the ledger's PENDING)."""

    entries: tuple[Entry, ...]
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """Posts `entries` out of the hold that the fact `of` placed; `final` releases the rest.

    The entries stand in the order of the hold's, each on the same account and side.
    """

    of: str
    entries: tuple[Entry, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class Void:
    """Releases the whole hold that the fact `of` placed."""

    of: str


@dataclass(frozen=True, slots=True)
class Reverse:
    """Undoes the transaction that the fact `of` made, in whole."""

    of: str


Write = Create | Post | Void | Reverse
