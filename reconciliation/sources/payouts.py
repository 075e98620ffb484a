"""Payouts of the platform, as the gateway's feed tells of them.

A merchant's payout goes to the merchant's bank, and its money has left the platform's balance with
the transfer: it is none of the platform's to reconcile.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.v1.payout_service_pb2 import WatchPayoutsRequest, WatchPayoutsResponse
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from reconciliation.items.source import MAX_BATCH_ITEMS, Batch
from reconciliation.sources.gateway_cursors import (
    cursor_after_restore,
    cursor_of,
    place_of,
    revision_of,
)
from reconciliation.sources.stripe_items import is_ours, payout_item

NAME = "payouts"


class PayoutSource:
    """Follows the gateway's feed of payouts, of all corridors."""

    name = NAME
    messages_per_batch = MAX_BATCH_ITEMS

    def __init__(self, stub: PayoutServiceStub) -> None:
        self._stub: Any = stub

    def watch(self, cursor: str) -> Any:
        """The feed after a change, `<epoch>:<sequence>`."""
        epoch, sequence = place_of(cursor)
        return self._stub.WatchPayouts(WatchPayoutsRequest(epoch=epoch, after_sequence=sequence))

    def batch_of(self, told: Sequence[WatchPayoutsResponse]) -> Batch:
        """A message is an item, if it is of a payout of the platform that Stripe has."""
        items = [
            payout_item(message.payout, revision_of(message.epoch, message.sequence))
            for message in told
            if is_ours(message.payout)
        ]
        return Batch(items, cursor_of(told[-1].epoch, told[-1].sequence))

    def cursor_after_restore(self, place: Mapping[str, str]) -> str:
        """Where the new epoch begins."""
        return cursor_after_restore(place)
