"""What one commit will write, and from where it starts."""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid4

from ledger.accounts import Account
from ledger.book import Source
from ledger.commands import Decision, Outcome, Record


class Head(NamedTuple):
    """Where a ledger's log ends. Times are microseconds.

    `revision` moves by one with every commit; `commit_id` is the commit's own, so that heads are
    equal only if all commits before them are the same, whatever a database was put back to.
    """

    revision: int
    commit_id: UUID | None
    last_sequence: int
    last_record_us: int
    last_account_number: int
    next_expire_us: int | None
    # What was answered of moments up to this one is final: the next record time is later.
    closed_us: int | None = None

    def record_us(self, now_us: int) -> int:
        """The record time of a commit that is decided now: never before the last one's, and after
        every moment that a read has closed."""
        closed_us = self.closed_us
        least = self.last_record_us if closed_us is None else closed_us + 1
        return max(now_us, self.last_record_us, least)

    def is_due(self, moment_us: int) -> bool:
        """Whether a hold's time has come by a moment that no transaction has released yet."""
        return self.next_expire_us is not None and self.next_expire_us <= moment_us

    def is_same_commit(self, other: "Head") -> bool:
        """Whether both are of one commit; only then what was read at one holds at the other."""
        return (self.revision, self.commit_id) == (other.revision, other.commit_id)


@dataclass(slots=True)
class Plan:
    """Everything of one commit; `outcomes` answers the commands in their order."""

    head: Head
    record_us: int
    records: list[Record] = field(default_factory=list)
    holds_added: list[tuple[Source, Record]] = field(default_factory=list)
    sources_changed: dict[int, Source] = field(default_factory=dict)
    accounts_added: list[Account] = field(default_factory=list)
    accounts_closed: list[tuple[Account, int]] = field(default_factory=list)
    balances_changed: dict[int, Account] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    commit_id: UUID = field(default_factory=uuid4)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def last_sequence(self) -> int:
        """The log's end after this commit."""
        return self.records[-1].sequence if self.records else self.head.last_sequence

    @property
    def last_account_number(self) -> int:
        """The highest account number after this commit."""
        if self.accounts_added:
            return self.accounts_added[-1].number
        return self.head.last_account_number

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.records or self.decisions)

    def head_after(self) -> Head:
        """The head that this commit leaves behind."""
        expiries = [r.expire_us for r in self.records if r.expire_us is not None]
        if self.head.next_expire_us is not None:
            expiries.append(self.head.next_expire_us)
        return Head(
            revision=self.head.revision + 1,
            commit_id=self.commit_id,
            last_sequence=self.last_sequence,
            last_record_us=self.record_us if self.records else self.head.last_record_us,
            last_account_number=self.last_account_number,
            next_expire_us=min(expiries, default=None),
            closed_us=self.head.closed_us,
        )
