"""Inputs as batches that the ledger takes in one call, bounded in every direction."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger.checks import MAX_ENTRIES_PER_BATCH
from ledger.load.given import AnyGiven, Bad, Given, Source
from ledger.v1.account_pb2 import AccountInput
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.validation import MAX_ACCOUNTS_PER_BATCH
from runtime.command_failures import CommandError

ITEMS_PER_BATCH = 1_000
# Well below what a message may have, whatever the lines look like as messages.
BYTES_PER_BATCH = 8 * 1024 * 1024
MAX_BAD_LINES_NAMED = 20


@dataclass
class Batch:
    """Accounts to make, then transactions; `last` is the place up to which it goes."""

    accounts: list[Given[AccountInput]] = field(default_factory=list)
    items: list[Given[BatchItem]] = field(default_factory=list)
    last: int = 0
    size: int = 0
    legs: int = 0
    request_ids: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.accounts) + len(self.items)

    def takes(self, given: AnyGiven) -> bool:
        """Whether there is room for one more."""
        if not len(self):
            return True
        if self.size + given.size > BYTES_PER_BATCH:
            return False
        if isinstance(given.message, AccountInput):
            return len(self.accounts) < MAX_ACCOUNTS_PER_BATCH
        return (
            len(self.items) < ITEMS_PER_BATCH
            and self.legs + legs_of(given.message) <= MAX_ENTRIES_PER_BATCH
            # An id that comes again is for the ledger to judge, which takes it once a batch.
            and given.message.request_id not in self.request_ids
        )

    def add(self, given: AnyGiven) -> None:
        """Takes one more."""
        if isinstance(given.message, AccountInput):
            self.accounts.append(given)
        else:
            self.items.append(given)
            self.legs += legs_of(given.message)
            self.request_ids.add(given.message.request_id)
        self.size += given.size
        self.last = given.place


def legs_of(item: BatchItem) -> int:
    """What an item counts against the ledger's bound of entries and parts."""
    return len(item.create.entries) + len(item.post.parts) + len(item.reversal.parts)


def batches(name: str, source: Source, after: int) -> Iterator[Batch]:
    """What comes after a place; raises `CommandError` instead of a batch with bad lines."""
    batch = Batch()
    bad: list[Bad] = []
    for one in source.given(after):
        if isinstance(one, Bad):
            bad.append(one)
            if len(bad) == MAX_BAD_LINES_NAMED:
                break
            continue
        if not batch.takes(one):
            if bad:
                break
            yield batch
            after, batch = batch.last, Batch()
        batch.add(one)
    if bad:
        raise CommandError(_named(name, source, after, bad))
    if batch.last:
        yield batch


def _named(name: str, source: Source, after: int, bad: list[Bad]) -> str:
    lines = []
    for one in bad:
        unit, number = source.locate(one.place)
        column = f", column {one.column}" if one.column else ""
        lines.append(f"{name}, {unit} {number}{column}: {one.problem}")
    if after:
        unit, number = source.locate(after)
        lines.append(f"nothing after {unit} {number} was sent")
    else:
        lines.append("nothing was sent")
    return "\n".join(lines)
