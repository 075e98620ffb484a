"""The books, recomputed from the log: the first line that disagrees is named.

Memory is bounded by the accounts, the holds that are open and the transactions that others
reverse: which those are is said beforehand.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ledger.verify.canonical import MAX_INTEGER
from ledger.verify.finding import Finding
from ledger.verify.schema import AccountLine, Entry, Transaction

EFFECTS = {
    "DIRECT": {"POST"},
    "PENDING": {"HOLD"},
    "POST": {"POST", "RELEASE"},
    "VOID": {"RELEASE"},
    "EXPIRY": {"RELEASE"},
    "REVERSAL": {"POST"},
}
SETTLEMENTS = {"POST", "VOID", "EXPIRY"}
REVERSIBLE = {"DIRECT", "POST"}
OPPOSITE = {"DEBIT": "CREDIT", "CREDIT": "DEBIT"}

# The place of a total by an entry's effect and direction; a release takes from what a hold added.
_PLACES = {
    ("POST", "DEBIT"): (0, 1),
    ("POST", "CREDIT"): (1, 1),
    ("HOLD", "DEBIT"): (2, 1),
    ("HOLD", "CREDIT"): (3, 1),
    ("RELEASE", "DEBIT"): (2, -1),
    ("RELEASE", "CREDIT"): (3, -1),
}
_TOTALS = ("posted_debits", "posted_credits", "pending_debits", "pending_credits", "version")


class AccountTotals:
    """An account with what its entries have made of it."""

    __slots__ = ("currency", "totals")

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.totals = [0, 0, 0, 0, 0]


class Left(NamedTuple):
    """What is left of an earlier transaction, by the index of its entry."""

    expire_time: str | None
    entries: dict[int, Entry]
    amounts: dict[int, int]


class TrialBalance(NamedTuple):
    """The sums over all accounts of a currency, in minor units."""

    currency: str
    accounts: int
    posted_debits: int
    posted_credits: int
    pending_debits: int
    pending_credits: int


class Books:
    """Takes the transactions one after the other."""

    def __init__(self, ledger: str, reversed_later: Collection[int]) -> None:
        self._ledger = ledger
        self._reversed_later = reversed_later
        self._accounts: dict[str, AccountTotals] = {}
        self._holds: dict[int, Left] = {}
        self._reversible: dict[int, Left] = {}
        self._last_record_time = ""
        self.sequence = 0
        self.entries = 0

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return len(self._accounts)

    @property
    def open_holds(self) -> int:
        """How many pending transactions are not settled in full."""
        return len(self._holds)

    def add_account(self, account: AccountLine) -> None:
        """Takes the next account; raises `Finding`."""
        if account.number != len(self._accounts) + 1:
            raise Finding(f"number is {account.number}, not {len(self._accounts) + 1}")
        if account.name in self._accounts:
            raise Finding(f"there is an account {account.name} already")
        self._accounts[account.name] = AccountTotals(account.currency)

    def add(self, transaction: Transaction) -> None:
        """Takes the next transaction; raises `Finding`."""
        if transaction.sequence != self.sequence + 1:
            raise Finding(f"sequence is {transaction.sequence}, not {self.sequence + 1}")
        if transaction.ledger != self._ledger:
            raise Finding(f"ledger is {transaction.ledger}, not {self._ledger}")
        if transaction.record_time < self._last_record_time:
            raise Finding(
                f"record_time is {transaction.record_time}, before that of the transaction before "
                f"it, {self._last_record_time}"
            )
        self._check_kind(transaction)
        self._post(transaction.entries)
        if transaction.kind in SETTLEMENTS:
            self._settle(transaction)
        elif transaction.kind == "REVERSAL":
            self._reverse(transaction)
        self._keep(transaction)
        self._last_record_time = transaction.record_time
        self.sequence += 1
        self.entries += len(transaction.entries)

    def trial_balance(self) -> Iterator[TrialBalance]:
        """The sums of each currency that has accounts, by its code."""
        sums: dict[str, list[int]] = {}
        for account in self._accounts.values():
            total = sums.setdefault(account.currency, [0, 0, 0, 0, 0])
            total[0] += 1
            for place in range(4):
                total[place + 1] += account.totals[place]
        for currency in sorted(sums):
            yield TrialBalance(currency, *sums[currency])

    def _check_kind(self, transaction: Transaction) -> None:
        kind = transaction.kind
        if (transaction.settles is not None) != (kind in SETTLEMENTS):
            raise Finding(f"settles does not go with the kind {kind}")
        if (transaction.reverses is not None) != (kind == "REVERSAL"):
            raise Finding(f"reverses does not go with the kind {kind}")
        if transaction.expire_time is not None and kind != "PENDING":
            raise Finding(f"expire_time does not go with the kind {kind}")
        follows = kind in SETTLEMENTS or kind == "REVERSAL"
        for index, entry in enumerate(transaction.entries):
            if entry.effect not in EFFECTS[kind]:
                raise Finding(f"entry {index}: {entry.effect} does not go with the kind {kind}")
            if (entry.source is not None) != follows:
                raise Finding(f"entry {index}: source_entry does not go with the kind {kind}")

    def _post(self, entries: list[Entry]) -> None:
        """Recomputes the totals and finds debits that are not credits."""
        sums: dict[tuple[str, str], int] = {}
        for index, entry in enumerate(entries):
            account = self._accounts.get(entry.account)
            if account is None:
                raise Finding(f"entry {index}: there is no account {entry.account}")
            if account.currency != entry.currency:
                raise Finding(
                    f"entry {index}: {entry.account} takes {account.currency}, not {entry.currency}"
                )
            totals = account.totals
            place, sign = _PLACES[entry.effect, entry.direction]
            totals[place] += sign * entry.amount
            totals[4] += 1
            expected = tuple(map(str, totals))
            if entry.totals != expected or not 0 <= totals[place] <= MAX_INTEGER:
                _refuse_totals(index, entry, expected)
            key = (entry.currency, entry.effect)
            change = entry.amount if entry.direction == "DEBIT" else -entry.amount
            sums[key] = sums.get(key, 0) + change
        for (currency, effect), difference in sums.items():
            if difference:
                raise Finding(f"debits less credits of {effect} in {currency} are {difference}")

    def _keep(self, transaction: Transaction) -> None:
        """Keeps what later transactions may take from."""
        if transaction.kind == "PENDING":
            self._holds[transaction.sequence] = _left(transaction, "HOLD")
        elif transaction.kind in REVERSIBLE and transaction.sequence in self._reversed_later:
            self._reversible[transaction.sequence] = _left(transaction, "POST")

    def _settle(self, transaction: Transaction) -> None:
        """Takes from a hold what is released; what is posted is no more than that."""
        sequence = transaction.settles
        assert sequence is not None, "the kind was checked"
        hold = self._holds.get(sequence)
        if hold is None:
            raise Finding(f"settles {sequence}, which is no open hold")
        self._check_expiry(transaction, hold)
        released: dict[int, int] = {}
        for index, entry in enumerate(transaction.entries):
            if entry.effect == "RELEASE":
                source = _taken(index, entry, hold, entry.direction)
                released[source] = released.get(source, 0) + entry.amount
        for index, entry in enumerate(transaction.entries):
            if entry.effect == "POST":
                source = _source(index, entry, hold, entry.direction)
                released[source] = released.get(source, 0) - entry.amount
                if released[source] < 0:
                    raise Finding(f"entry {index}: posts more than is released of entry {source}")
        if any(hold.amounts.values()):
            if transaction.kind != "POST":
                raise Finding(f"{transaction.kind} leaves a part of the hold {sequence}")
        else:
            del self._holds[sequence]

    @staticmethod
    def _check_expiry(transaction: Transaction, hold: Left) -> None:
        due = hold.expire_time is not None and hold.expire_time <= transaction.record_time
        if due != (transaction.kind == "EXPIRY"):
            raise Finding(
                f"{transaction.kind} at {transaction.record_time} of a hold that expires at "
                f"{hold.expire_time or 'no time'}"
            )

    def _reverse(self, transaction: Transaction) -> None:
        """Takes from the original what is reversed, entry by entry."""
        sequence = transaction.reverses
        assert sequence is not None, "the kind was checked"
        original = self._reversible.get(sequence)
        if original is None:
            raise Finding(f"reverses {sequence}, of which there is nothing left to reverse")
        for index, entry in enumerate(transaction.entries):
            _taken(index, entry, original, OPPOSITE[entry.direction])
        if not any(original.amounts.values()):
            del self._reversible[sequence]


def _left(transaction: Transaction, effect: str) -> Left:
    entries = {i: e for i, e in enumerate(transaction.entries) if e.effect == effect}
    amounts = {index: entry.amount for index, entry in entries.items()}
    return Left(transaction.expire_time, entries, amounts)


def _source(index: int, entry: Entry, left: Left, direction: str) -> int:
    """The index of the earlier entry, which has to be on the same account."""
    source = entry.source
    earlier = left.entries.get(source) if source is not None else None
    if source is None or earlier is None:
        raise Finding(f"entry {index}: there is no entry {source} to take from")
    if (earlier.account, earlier.direction) != (entry.account, direction):
        raise Finding(
            f"entry {index}: entry {source} is a {earlier.direction} of {earlier.account}"
        )
    return source


def _taken(index: int, entry: Entry, left: Left, direction: str) -> int:
    """Takes the entry's amount from what is left of the earlier one."""
    source = _source(index, entry, left, direction)
    remaining = left.amounts[source]
    if entry.amount > remaining:
        raise Finding(f"entry {index}: entry {source} has {remaining} left, not {entry.amount}")
    left.amounts[source] = remaining - entry.amount
    return source


def _refuse_totals(index: int, entry: Entry, expected: tuple[str, ...]) -> None:
    for name, found, right in zip(_TOTALS, entry.totals, expected, strict=True):
        if found != right:
            raise Finding(f"entry {index}: {name} of {entry.account} is {found}, not {right}")
    raise Finding(f"entry {index}: a total of {entry.account} leaves its range")
