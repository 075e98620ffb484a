"""Items of the ledger: what each posted transaction does to a balance at Stripe.

The accounts are those of `docs/chart-of-accounts.md`: `<corridor>/<currency>/stripe/<part>`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from hashlib import sha256
from typing import Any

from ledger.v1.direction_pb2 import DIRECTION_DEBIT
from ledger.v1.entry_pb2 import ENTRY_EFFECT_POST
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_pb2 import Transaction
from ledger.v1.transaction_reads_pb2 import WatchTransactionsRequest, WatchTransactionsResponse
from reconciliation.items.source import Batch
from reconciliation.matching.book_days import IN_UTC, BookDays
from reconciliation.matching.item import Item, Source

NAME = "ledger"
AT_STRIPE = "stripe"
FEES, BANK = ["fees"], ["bank"]
# What the metadata of transactions that adjust breaks has as kind.
ADJUSTMENT = "reconciliation.adjustment"
Sums = dict[tuple[str, str], int]
# Ids that Stripe does not know, among those that a transaction's metadata names.
OURS = frozenset({"payment_id", "merchant_id", "hold_id"})
# A message has at most 2,000 entries, and an item comes of one or more of them.
MESSAGES_PER_BATCH = 2


class LedgerSource:
    """Follows the log of one ledger."""

    name = NAME
    messages_per_batch = MESSAGES_PER_BATCH

    def __init__(self, stub: LedgerServiceStub, ledger: str, book_days: BookDays = IN_UTC) -> None:
        self._stub: Any = stub
        self._ledger = ledger
        self._book_days = book_days

    def watch(self, cursor: str) -> Any:
        """The log after a sequence and the hash of its leaf, `<sequence>:<hex>`."""
        sequence, _, leaf_hash = cursor.partition(":")
        return self._stub.WatchTransactions(
            WatchTransactionsRequest(
                ledger=self._ledger,
                after_sequence=int(sequence or 0),
                after_leaf_hash=bytes.fromhex(leaf_hash),
            )
        )

    def batch_of(self, told: Sequence[WatchTransactionsResponse]) -> Batch:
        """The items of some messages' transactions."""
        items = [
            item
            for message in told
            for transaction in message.transactions
            for item in items_of(transaction, self._book_days)
        ]
        last = told[-1]
        return Batch(items, f"{last.through_sequence}:{last.through_leaf_hash.hex()}")

    def cursor_after_restore(self, place: Mapping[str, str]) -> str:
        """A ledger that has another transaction there is read from where it says."""
        return f"{place['after_sequence']}:"


def items_of(transaction: Transaction, book_days: BookDays = IN_UTC) -> Iterator[Item]:
    """What a transaction posts to the balances at Stripe, an item per corridor and currency, and
    what an adjustment of ours posts to accounts of the bank; none for what only moves within them.
    Pure."""
    at_stripe: Sums = defaultdict(int)
    at_bank: Sums = defaultdict(int)
    fees: Sums = defaultdict(int)
    is_adjustment = transaction.metadata.get("kind") == ADJUSTMENT
    for entry in transaction.entries:
        corridor, *parts = entry.account.split("/")
        if entry.effect != ENTRY_EFFECT_POST:
            continue
        amount = entry.amount.minor_units
        sign = 1 if entry.direction == DIRECTION_DEBIT else -1
        where = corridor, entry.amount.currency_code
        if parts[1:2] == [AT_STRIPE]:
            at_stripe[where] += sign * amount
        elif parts[1:] == FEES:
            fees[where] += sign * amount
        elif parts[1:] == BANK and is_adjustment:
            at_bank[where] += sign * amount
    for where, amount in sorted(at_stripe.items()):
        if amount:
            fee = fees[where]
            yield _item(transaction, Source.LEDGER, where, amount, book_days, fee)
    for where, amount in sorted(at_bank.items()):
        if amount:
            yield _item(transaction, Source.ADJUSTMENT, where, amount, book_days)


def _item(
    transaction: Transaction,
    source: Source,
    where: tuple[str, str],
    amount_minor: int,
    book_days: BookDays,
    fee_minor: int | None = None,
) -> Item:
    corridor, currency = where
    when = transaction.effective_time.ToDatetime(tzinfo=UTC)
    return Item(
        source=source,
        corridor=corridor,
        key=f"{transaction.request_id}:{currency}",
        currency=currency,
        amount_minor=amount_minor,
        instant=when,
        book_date=book_days.day_of(corridor, when),
        sha256=_hash_of(transaction),
        tokens=frozenset(
            value
            for name, value in transaction.metadata.items()
            if name.endswith("_id") and name not in OURS and value
        ),
        revision=transaction.sequence,
        fee_minor=fee_minor,
    )


def _hash_of(transaction: Transaction) -> bytes:
    """Of what was booked, and not of its place: a ledger that was restored has it elsewhere."""
    content = Transaction()
    content.CopyFrom(transaction)
    for name in ("sequence", "record_time", "settles_sequence", "reverses_sequence"):
        content.ClearField(name)
    for entry in content.entries:
        entry.ClearField("sequence")
        entry.ClearField("record_time")
        entry.ClearField("balance_after")
    return sha256(content.SerializeToString(deterministic=True)).digest()
