"""What must be true of any log, from its transactions alone, as a feed brings them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ledger.v1.balance_pb2 import Balance
from ledger.v1.direction_pb2 import DIRECTION_DEBIT
from ledger.v1.entry_pb2 import ENTRY_EFFECT_HOLD, ENTRY_EFFECT_POST, Entry
from ledger.v1.transaction_pb2 import Transaction


class LogFaultError(AssertionError):
    """A log that cannot be a ledger's; the message says where."""


def check_log(log: Sequence[Transaction], first_sequence: int = 1) -> None:
    """Gapless, in order of time, balanced, every running balance the sum of what is before it."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    held: dict[tuple[int, int], int] = {}
    before: Transaction | None = None
    for sequence, transaction in enumerate(log, start=first_sequence):
        require(transaction.sequence == sequence, transaction, f"is not of sequence {sequence}")
        if before is not None:
            earlier, later = before.record_time, transaction.record_time
            in_order = (earlier.seconds, earlier.nanos) <= (later.seconds, later.nanos)
            require(in_order, transaction, "was recorded before the one before it")
        before = transaction
        check_balanced(transaction)
        for index, entry in enumerate(transaction.entries):
            require(entry.entry_index == index, transaction, "numbers its entries wrong")
            add(totals[entry.account], entry)
            kept = totals_of(entry.balance_after)
            require(kept == totals[entry.account], transaction, f"has {kept} on {entry.account}")
            check_hold(held, transaction, entry)


def check_balanced(transaction: Transaction) -> None:
    sums: dict[tuple[str, int], int] = defaultdict(int)
    for entry in transaction.entries:
        amount = entry.amount.minor_units
        require(amount > 0, transaction, "has an amount that is not above zero")
        is_debit = entry.direction == DIRECTION_DEBIT
        sums[entry.amount.currency_code, entry.effect] += amount if is_debit else -amount
    require(not any(sums.values()) and bool(sums), transaction, "does not balance")


def check_hold(held: dict[tuple[int, int], int], transaction: Transaction, entry: Entry) -> None:
    """What is released was held and is not more than was left."""
    if entry.effect == ENTRY_EFFECT_HOLD:
        held[transaction.sequence, entry.entry_index] = entry.amount.minor_units
    elif entry.effect != ENTRY_EFFECT_POST:
        key = transaction.settles_sequence, entry.source_entry_index
        left = held.get(key, 0) - entry.amount.minor_units
        require(left >= 0, transaction, f"releases more than is held by {key}")
        held[key] = left


def add(totals: list[int], entry: Entry) -> None:
    """Takes one entry into posted debits and credits, pending debits and credits, version."""
    column = 0 if entry.direction == DIRECTION_DEBIT else 1
    if entry.effect == ENTRY_EFFECT_POST:
        totals[column] += entry.amount.minor_units
    elif entry.effect == ENTRY_EFFECT_HOLD:
        totals[2 + column] += entry.amount.minor_units
    else:
        totals[2 + column] -= entry.amount.minor_units
    totals[4] += 1


def totals_of(balance: Balance) -> list[int]:
    return [
        balance.posted_debits_minor,
        balance.posted_credits_minor,
        balance.pending_debits_minor,
        balance.pending_credits_minor,
        balance.version,
    ]


def last_totals(log: Iterable[Transaction]) -> dict[str, list[int]]:
    """Each account's totals after its last entry, as the log has them."""
    return {
        entry.account: totals_of(entry.balance_after)
        for transaction in log
        for entry in transaction.entries
    }


def require(holds: bool, transaction: Transaction, what: str) -> None:
    if not holds:
        raise LogFaultError(f"transaction {transaction.sequence} {what}")
