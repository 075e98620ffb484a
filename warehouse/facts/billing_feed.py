"""The gateway's feed of Billing: invoices, what pays them, credit notes and subscriptions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.v1.billing_service_pb2 import WatchBillingRequest, WatchBillingResponse
from warehouse.facts import tables
from warehouse.facts.billing_messages import billing_change
from warehouse.facts.rows import Batch, Place, Row, instant

if TYPE_CHECKING:
    from gateway.v1.billing_service_pb2_grpc import BillingServiceAsyncStub


class BillingFeed:
    """Changes of all that Stripe Billing has, in four tables."""

    source = tables.BILLING
    has_epochs = True

    def __init__(self, stub: "BillingServiceAsyncStub", address: str) -> None:
        self._stub: Any = stub
        self.address = address

    def watch(self, after: Place) -> Any:
        """The feed after a place."""
        return self._stub.WatchBilling(
            WatchBillingRequest(epoch=after.epoch, after_sequence=after.sequence)
        )

    def place_of(self, message: WatchBillingResponse) -> tuple[Place, str]:
        """Epoch and sequence are a change's name."""
        return Place(message.epoch, message.sequence), ""

    def place_to_go_back_to(self, told: dict[str, str]) -> Place:
        """What the gateway says leaves nothing out."""
        return Place(int(told["epoch"]), int(told["after_sequence"]))

    async def batch_of(self, messages: Sequence[WatchBillingResponse]) -> Batch:
        """The changes. One of a kind that a later gateway tells is passed over."""
        rows: dict[str, list[Row]] = {}
        for message in messages:
            if (told := billing_change(message)) is not None:
                table, row = told
                rows.setdefault(table.name, []).append(row)
        last = messages[-1]
        return Batch(
            place=Place(last.epoch, last.sequence),
            rows=rows,
            news_time=instant(messages[0], "record_time"),
        )

    async def batch_of_restore(self, place: Place) -> Batch:
        """What was lost is no more."""
        return Batch(place, goes_back=True)
