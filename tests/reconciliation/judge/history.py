"""What happened in a history and what was done wrong in it, in names and numbers alone."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple


class Name(NamedTuple):
    """An item: LEDGER, STRIPE, PAYOUT or BANK, its corridor, and its key there. A line of the bank
    is called by the bank's own reference and its number among equal ones, as `0012#1`."""

    source: str
    corridor: str
    key: str


@dataclass(frozen=True)
class Movement:
    """A balance transaction of the twin."""

    name: Name
    currency: str
    net: int
    moved_by: str
    """The id of what moved it, else its own."""
    payout_id: str
    """What it was paid out with; empty while it is in the balance, and of a payout's own."""
    is_told: bool
    """Whether Stripe lists it in the end."""


@dataclass(frozen=True)
class Booked:
    """What one transaction of the ledger does to a balance at Stripe in a currency."""

    name: Name
    currency: str
    amount: int
    movement: str
    """The balance transaction that it is of; an invented one's has no such."""
    is_of_a_payout: bool = False


@dataclass(frozen=True)
class PaidOut:
    """A payout of the twin."""

    name: Name
    currency: str
    amount: int
    arrival: date
    group: str
    """The primary one of those that it was split into."""
    is_listed: bool
    """Whether Stripe ever says what it contains."""
    is_complete: bool
    is_returned: bool
    trace: str
    """As Stripe has told it; empty if it has not."""
    is_told: bool = True


@dataclass(frozen=True)
class Line:
    """A line of the bank's statements."""

    name: Name
    currency: str
    amount: int
    day: date
    traces: frozenset[str]
    reference: str


@dataclass(frozen=True)
class Told:
    """A statement as it was taken: each once."""

    account: str
    number: int | None
    first_day: date
    day: date
    opening: int
    closing: int
    references: frozenset[str]
    """The bank's own of its lines."""


@dataclass(frozen=True)
class AtBank:
    """A bank account with all that its statements say."""

    name: str
    corridor: str
    currency: str
    identification: str
    file_format: str
    calendar: str
    statements: tuple[Told, ...]
    lines: tuple[Line, ...]
    untold: int
    """What is in the bank's own books and in no statement that could be taken, in minor units,
    less what those statements have too much."""
    balance: int
    """What the bank's own books have moved since the account was opened."""


class File(NamedTuple):
    """A file of a bank account."""

    account: str
    content: bytes
    kind: str
    """`whole`, `false` if its balances do not come out, or a `report` of a day that is not over."""


@dataclass
class History:
    """All of it. `ledger`, `movements` and `payouts` are the messages of feeds, as they came."""

    seed: int
    last_day: date
    ledger: list[Any] = field(default_factory=list)
    movements: list[Any] = field(default_factory=list)
    payouts: list[Any] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    true_movements: list[Movement] = field(default_factory=list)
    true_bookings: list[Booked] = field(default_factory=list)
    true_payouts: list[PaidOut] = field(default_factory=list)
    banks: list[AtBank] = field(default_factory=list)
    at_stripe: dict[tuple[str, str], int] = field(default_factory=dict)
    """The twin's own balances by corridor and currency."""
    injected: Counter[str] = field(default_factory=Counter)
    """What was done wrong, and how often."""
    happened: Counter[str] = field(default_factory=Counter)
    """What was right and is rare."""

    @property
    def items(self) -> int:
        """How many items the truth has."""
        lines = sum(len(bank.lines) for bank in self.banks)
        movements = sum(movement.is_told for movement in self.true_movements)
        return len(self.true_bookings) + movements + len(self.true_payouts) + lines
