"""The feed of breaks. It has no epochs, so a service that was restored and has had as many events
since is known by its last event, and read from the beginning."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reconciliation.v1.reconciliation_service_pb2 import WatchBreaksRequest, WatchBreaksResponse
from warehouse.facts import messages as rows_of
from warehouse.facts import tables
from warehouse.facts.rows import BEGINNING, All, Batch, Place, instant, mark_of

if TYPE_CHECKING:
    from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceAsyncStub


class BreakFeed:
    """What happens to breaks, and how the breaks are by then."""

    source = tables.BREAKS
    has_epochs = False

    def __init__(self, stub: "ReconciliationServiceAsyncStub", address: str) -> None:
        self._stub: Any = stub
        self.address = address

    def watch(self, after: Place) -> Any:
        """The feed after a place."""
        return self._stub.WatchBreaks(WatchBreaksRequest(after_sequence=after.sequence))

    def place_of(self, message: WatchBreaksResponse) -> tuple[Place, str]:
        """The event never changes; the break beside it does."""
        return Place(0, message.event.sequence), mark_of(message.event)

    def place_to_go_back_to(self, _told: dict[str, str]) -> Place:
        """The end that the service tells may be of events that are not known here: all is read
        again."""
        return BEGINNING

    async def batch_of(self, messages: Sequence[WatchBreaksResponse]) -> Batch:
        """The events, and each break as it is now."""
        place, mark = self.place_of(messages[-1])
        return Batch(
            place=place,
            mark=mark,
            rows={
                tables.BREAK_EVENT.name: [rows_of.break_event(m.event) for m in messages],
                tables.BREAK.name: [
                    rows_of.reconciliation_break(m.reconciliation_break) for m in messages
                ],
            },
            news_time=instant(messages[0].event, "record_time"),
        )

    async def batch_of_restore(self, place: Place) -> Batch:
        """Breaks that were lost are no more; those that are still there come again."""
        return Batch(place, complete=[All(tables.BREAK, None, frozenset())], goes_back=True)
