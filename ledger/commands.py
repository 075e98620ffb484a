"""What the committer is asked to do, and what it found: plain data between service and rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from ledger.accounts import Account, Limits, Side
from ledger.exchange import Exchange
from ledger.posting import Draft, Kind, Posted
from ledger.refusal import Refusal
from ledger.settlement import Post, Reverse, Void

Action = Draft | Post | Void | Reverse


class Operation(IntEnum):
    """The mutating methods, as the database knows them; a number is never used again."""

    CREATE = 1
    POST = 2
    VOID = 3
    REVERSE = 4
    BATCH = 5
    CREATE_ACCOUNT = 6
    BATCH_ACCOUNTS = 7
    CLOSE_ACCOUNT = 8


OPERATION_OF_KIND = {
    Kind.DIRECT: Operation.CREATE,
    Kind.PENDING: Operation.CREATE,
    Kind.POST: Operation.POST,
    Kind.VOID: Operation.VOID,
    Kind.REVERSAL: Operation.REVERSE,
}


class Notes(NamedTuple):
    """What a request says and the rules do not ask for. `descriptions` is one per entry or none."""

    metadata: Mapping[str, str] = {}
    exchanges: tuple[Exchange, ...] = ()
    descriptions: tuple[str, ...] = ()


class Item(NamedTuple):
    """One transaction asked for, by itself or in a batch. `body` is its input message, encoded."""

    operation: Operation
    request_id: str
    body: bytes
    action: Action
    effective_us: int | None
    reference: str
    notes: Notes | None = None


class NewAccount(NamedTuple):
    """One account asked for."""

    name: str
    currency: str
    normal: Side
    limits: Limits
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """One mutating call.

    `body` is what a repeated request_id is compared with; `fingerprint` is set for batches.
    """

    operation: Operation
    request_id: str
    body: bytes
    items: Sequence[Item] = ()
    atomic: bool = False
    fingerprint: bytes | None = None
    accounts: Sequence[NewAccount] = ()
    close: str = ""
    # Legs and parts of all items; what settles a whole transaction has none.
    legs: int = 0

    @property
    def weight(self) -> int:
        """What it counts against the bounds of queue and batch, in transactions of two legs."""
        return max(len(self.items) + len(self.accounts), (self.legs + 1) // 2, 1)


class Record(NamedTuple):
    """A transaction decided on, as it is written and answered. Times are microseconds."""

    sequence: int
    kind: Kind
    request_id: str
    body: bytes
    reference: str
    entries: Sequence[Posted]
    record_us: int
    effective_us: int | None
    expire_us: int | None = None
    settles: int | None = None
    reverses: int | None = None
    notes: Notes | None = None


class Prior(NamedTuple):
    """What is known of a request_id: the transaction it made, or the decision kept for it."""

    operation: Operation
    body: bytes
    sequence: int | None
    failed: bool
    answer: bytes
    fingerprint: bytes | None


ItemOutcome = Record | Refusal | Prior


class Decided(NamedTuple):
    """Transactions decided on, one outcome per item."""

    results: Sequence[ItemOutcome]


class AccountsMade(NamedTuple):
    """Accounts made or closed, as they are now."""

    accounts: Sequence[Account]


Outcome = Decided | AccountsMade | Refusal | Prior


class Decision(NamedTuple):
    """A row of `decisions`."""

    request_id: str
    operation: Operation
    body: bytes
    fingerprint: bytes | None
    failed: bool
    answer: bytes
