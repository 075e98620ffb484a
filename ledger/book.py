"""The part of a ledger that a commit works on, in memory, with a way back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ledger.accounts import NO_LAPSED, Account, Lapsed, Side, Totals
from ledger.refusal import Reason, Refusal

# Microseconds since 1970 as text for people.
TimeText = Callable[[int], str]


@dataclass(slots=True)
class SourceEntry:
    """An entry of an earlier transaction and what of it is left to settle or to reverse."""

    index: int
    account: str
    side: Side
    currency: str
    amount: int
    remaining: int


@dataclass(slots=True)
class Source:
    """An earlier transaction that a later one settles or reverses.

    `kind` is a `posting.Kind`; `entries` are those held (pending) or posted (others);
    `last_settlement` is kind and sequence of the last post, void or expiry so far.
    """

    sequence: int
    kind: int
    expire_us: int | None
    entries: list[SourceEntry]
    last_settlement: tuple[int, int] | None = None


@dataclass(slots=True)
class Savepoint:
    """Where an atomic batch began, so that its failure can undo what its items did."""

    first_sequence: int
    totals: list[tuple[Account, Totals]] = field(default_factory=list)
    sources: list[tuple[Source, tuple[int, int] | None, list[int]]] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)


class Book:
    """Accounts by name and earlier transactions by sequence, as the next commit finds them."""

    def __init__(self, accounts: dict[str, Account], time_text: TimeText) -> None:
        self.accounts = accounts
        self.sources: dict[int, Source] = {}
        self.sequence_of: dict[str, int] = {}
        self.changed: dict[int, Account] = {}
        # By account number, of the accounts that the commit touches; it stays as it is all through
        # the commit.
        self.lapsed: Mapping[int, Lapsed] = {}
        self.time_text = time_text
        # The moment of the commit, in microseconds since 1970.
        self.record_us = 0
        self._savepoint: Savepoint | None = None

    def account(self, name: str) -> Account:
        """The account of that name, or `Refusal` if there is none."""
        account = self.accounts.get(name)
        if account is None:
            raise Refusal(
                Reason.ACCOUNT_NOT_FOUND, f"there is no account {name}", {"account": name}
            )
        return account

    def open_account(self, name: str) -> Account:
        """The account of that name, or `Refusal` if there is none or it is closed."""
        account = self.account(name)
        account.check_open()
        return account

    def source(self, key: int | str) -> Source:
        """The earlier transaction with that sequence or request_id, or `Refusal`."""
        sequence = key if isinstance(key, int) else self.sequence_of.get(key)
        source = None if sequence is None else self.sources.get(sequence)
        if source is None:
            raise Refusal(
                Reason.TRANSACTION_NOT_FOUND,
                f"there is no transaction {key}",
                {"transaction": key},
            )
        return source

    def name_transaction(self, request_id: str, sequence: int) -> None:
        """Lets later requests of the same commit name a transaction by its request_id."""
        self.sequence_of[request_id] = sequence
        if self._savepoint is not None:
            self._savepoint.request_ids.append(request_id)

    def lapsed_of(self, account: Account) -> Lapsed:
        """What the account's totals still have of holds whose time has come."""
        return self.lapsed.get(account.number, NO_LAPSED)

    def touched(self, before: Mapping[int, tuple[Account, Totals]]) -> None:
        """Notes accounts, by number, whose totals have changed, with the totals they had."""
        for number, (account, _) in before.items():
            self.changed[number] = account
        if self._savepoint is not None:
            self._savepoint.totals.extend(before.values())

    def settling(self, source: Source) -> None:
        """Notes an earlier transaction that is about to be settled or reversed further."""
        if self._savepoint is not None:
            left = [entry.remaining for entry in source.entries]
            self._savepoint.sources.append((source, source.last_settlement, left))

    def begin_atomic(self, first_sequence: int) -> None:
        """From here on everything can be undone: what the items make, from a sequence on."""
        self._savepoint = Savepoint(first_sequence)

    def words(self, sequence: int, noun: str = "transaction") -> str:
        """A transaction as people are told of it, by its item if it can still be undone."""
        item = self._item(sequence)
        return f"{noun} {sequence}" if item is None else f"item {item} of the batch"

    def facts(self, sequence: int, closed_by: int | None = None) -> dict[str, str | int]:
        """The same for programs; of the refusal of an atomic batch nobody may look up a sequence
        that will stand for another transaction."""
        item = self._item(sequence)
        facts: dict[str, str | int] = (
            {"sequence": sequence} if item is None else {"source_item_index": item}
        )
        if closed_by is not None:
            by_item = self._item(closed_by)
            if by_item is None:
                facts["closed_by_sequence"] = closed_by
            else:
                facts["closed_by_item_index"] = by_item
        return facts

    def _item(self, sequence: int) -> int | None:
        """The item of the atomic batch that made a transaction: each makes one."""
        if self._savepoint is None or sequence < self._savepoint.first_sequence:
            return None
        return sequence - self._savepoint.first_sequence

    def end_atomic(self, *, undo: bool) -> None:
        """Keeps or undoes everything since `begin_atomic`."""
        savepoint, self._savepoint = self._savepoint, None
        assert savepoint is not None, "end_atomic without begin_atomic"
        if not undo:
            return
        for account, totals in reversed(savepoint.totals):
            account.totals = totals
        for source, settlement, left in reversed(savepoint.sources):
            source.last_settlement = settlement
            for entry, remaining in zip(source.entries, left, strict=True):
                entry.remaining = remaining
        for request_id in savepoint.request_ids:
            del self.sequence_of[request_id]
