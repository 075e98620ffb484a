"""Items of Stripe: its balance transactions, as the gateway's feed tells of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from hashlib import sha256
from typing import Any

from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_MISSING,
    BalanceTransaction,
)
from gateway.v1.balance_transaction_service_pb2 import (
    WatchBalanceTransactionsRequest,
    WatchBalanceTransactionsResponse,
)
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from reconciliation.items.source import MAX_BATCH_ITEMS, Batch
from reconciliation.matching.book_days import IN_UTC, BookDays
from reconciliation.matching.item import Item, Source, State
from reconciliation.sources.gateway_cursors import (
    cursor_after_restore,
    cursor_of,
    place_of,
    revision_of,
)

NAME = "balance transactions"


class BalanceTransactionSource:
    """Follows the gateway's feed of balance transactions, of all corridors."""

    name = NAME
    messages_per_batch = MAX_BATCH_ITEMS

    def __init__(self, stub: BalanceTransactionServiceStub, book_days: BookDays = IN_UTC) -> None:
        self._stub: Any = stub
        self._book_days = book_days

    def watch(self, cursor: str) -> Any:
        """The feed after a change, `<epoch>:<sequence>`."""
        epoch, sequence = place_of(cursor)
        return self._stub.WatchBalanceTransactions(
            WatchBalanceTransactionsRequest(epoch=epoch, after_sequence=sequence)
        )

    def batch_of(self, told: Sequence[WatchBalanceTransactionsResponse]) -> Batch:
        """A message is an item; a movement of nothing is nobody's to compare."""
        items = [
            item_of(message.balance_transaction, message.epoch, self._book_days)
            for message in told
            if message.balance_transaction.net.minor_units
        ]
        last = told[-1]
        return Batch(items, cursor_of(last.epoch, last.balance_transaction.sequence))

    def cursor_after_restore(self, place: Mapping[str, str]) -> str:
        """Where the new epoch begins."""
        return cursor_after_restore(place)


def item_of(moved: BalanceTransaction, epoch: int, book_days: BookDays = IN_UTC) -> Item:
    """A balance transaction by its net, known by its own id and that of what moved it. One that
    Stripe has no longer takes part in nothing. Pure."""
    when = moved.stripe_create_time.ToDatetime(tzinfo=UTC)
    is_missing = moved.state == BALANCE_TRANSACTION_STATE_MISSING
    # A payout is no part of its own content, nor is its return. It is of the payout that Stripe
    # makes next, if it was a manual one, and so is what came back to the balance.
    is_content = moved.stripe_payout_id != moved.source_id
    return Item(
        source=Source.STRIPE,
        corridor=moved.corridor,
        key=moved.id,
        currency=moved.net.currency_code,
        amount_minor=moved.net.minor_units,
        instant=when,
        book_date=book_days.day_of(moved.corridor, when),
        sha256=sha256(moved.SerializeToString(deterministic=True)).digest(),
        tokens=frozenset(filter(None, (moved.id, moved.source_id))),
        group=moved.stripe_payout_id if is_content else "",
        state=State.PENDING if is_missing else State.BOOKED,
        revision=revision_of(epoch, moved.sequence),
    )
