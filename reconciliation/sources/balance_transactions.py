"""Items of Stripe: its balance transactions, as the gateway's feed tells of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.v1.balance_transaction_service_pb2 import (
    WatchBalanceTransactionsRequest,
    WatchBalanceTransactionsResponse,
)
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from reconciliation.items.source import MAX_BATCH_ITEMS, Batch
from reconciliation.matching.book_days import IN_UTC, BookDays
from reconciliation.sources.gateway_cursors import (
    cursor_after_restore,
    cursor_of,
    place_of,
)
from reconciliation.sources.stripe_items import balance_transaction_item

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
            balance_transaction_item(message.balance_transaction, message.epoch, self._book_days)
            for message in told
            if message.balance_transaction.net.minor_units
        ]
        last = told[-1]
        return Batch(items, cursor_of(last.epoch, last.balance_transaction.sequence))

    def cursor_after_restore(self, place: Mapping[str, str]) -> str:
        """Where the new epoch begins."""
        return cursor_after_restore(place)
