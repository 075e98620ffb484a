"""Payouts of the platform, as the gateway's feed tells of them.

A merchant's payout goes to the merchant's bank, and its money has left the platform's balance with
the transfer: it is none of the platform's to reconcile.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC
from hashlib import sha256
from typing import Any

from gateway.v1.payout_pb2 import (
    PAYOUT_STATE_CANCELED,
    PAYOUT_STATE_FAILED,
    PAYOUT_STATE_IN_TRANSIT,
    PAYOUT_STATE_PAID,
    PAYOUT_STATE_PENDING,
    Payout,
)
from gateway.v1.payout_service_pb2 import WatchPayoutsRequest, WatchPayoutsResponse
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from reconciliation.items.source import MAX_BATCH_ITEMS, Batch
from reconciliation.matching.item import MAX_TOKEN_BYTES, Content, Item, Source, State
from reconciliation.sources.gateway_cursors import (
    cursor_after_restore,
    cursor_of,
    place_of,
    revision_of,
)

NAME = "payouts"
INSTANT, NOT_APPLICABLE = "instant", "not_applicable"
# From the moment that Stripe has made it, its money is no longer in the balance there.
STATES = {
    PAYOUT_STATE_PENDING: State.BOOKED,
    PAYOUT_STATE_IN_TRANSIT: State.BOOKED,
    PAYOUT_STATE_PAID: State.BOOKED,
    PAYOUT_STATE_FAILED: State.RETURNED,
    PAYOUT_STATE_CANCELED: State.RETURNED,
}


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
            item_of(message.payout, revision_of(message.epoch, message.sequence))
            for message in told
            if is_ours(message.payout)
        ]
        return Batch(items, cursor_of(told[-1].epoch, told[-1].sequence))

    def cursor_after_restore(self, place: Mapping[str, str]) -> str:
        """Where the new epoch begins."""
        return cursor_after_restore(place)


def is_ours(payout: Payout) -> bool:
    """Whether it is an item. One that a gateway of before has read is told again when it is whole:
    without its time it could not be the same item later. Pure."""
    return (
        not payout.connected_account_id
        and payout.state in STATES
        and payout.HasField("stripe_create_time")
        and payout.HasField("arrival_time")
    )


def item_of(payout: Payout, revision: int) -> Item:
    """A payout by what it brings to the bank, on the day on which Stripe expects it there. The bank
    knows it by its trace id, or by what Stripe calls it. Pure."""
    # A bank may call it what it likes: what is too long for a reference is none.
    trace_id = payout.trace_id if len(payout.trace_id.encode()) <= MAX_TOKEN_BYTES else ""
    return Item(
        source=Source.PAYOUT,
        corridor=payout.corridor,
        key=payout.stripe_payout_id,
        currency=payout.amount.currency_code,
        amount_minor=payout.amount.minor_units,
        instant=payout.stripe_create_time.ToDatetime(tzinfo=UTC),
        book_date=payout.arrival_time.ToDatetime(tzinfo=UTC).date(),
        sha256=sha256(payout.SerializeToString(deterministic=True)).digest(),
        tokens=frozenset(filter(None, (payout.stripe_payout_id, trace_id))),
        group=payout.primary_payout_id,
        state=STATES[payout.state],
        content=content_of(payout),
        revision=revision,
    )


def content_of(payout: Payout) -> Content:
    """Whether it is known what it contains. Of manual and instant payouts Stripe never tells, and
    of the parts of one that it split the primary payout has it all. Pure."""
    told = payout.automatic and payout.method != INSTANT
    if not told or payout.primary_payout_id or payout.reconciliation_status == NOT_APPLICABLE:
        return Content.NONE
    return Content.COMPLETE if payout.content_complete else Content.IN_PROGRESS
