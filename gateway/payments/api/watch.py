"""The stream as watchers follow it: its end is read once per process, not once per watcher."""

from collections import deque
from collections.abc import Collection
from itertools import islice

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import Cursor, check_cursor
from gateway.limits import LIMITS, Limits
from gateway.payments.rendering import stamp
from gateway.payments.store import events as event_store
from gateway.v1 import payment_pb2
from gateway.v1 import payment_service_pb2 as pb
from runtime.items import Items
from runtime.notifications import Notifier

_STATE_PREFIX = "PAYMENT_STATE_"


class Feed:
    """The newest changes, in order and without holes; `news` tells when there are more."""

    def __init__(self, engine: AsyncEngine, limits: Limits = LIMITS) -> None:
        self._engine = engine
        self._batch = limits.feed_batch
        self._recent: deque[pb.WatchPaymentsResponse] = deque(maxlen=limits.feed_recent)
        # The last sequence that was read; None before the first look.
        self._head: int | None = None
        self.news = Notifier()
        self._items = Items("changes to watch")

    async def round(self) -> bool:
        """Reads what is new; True if there may be more at once."""
        async with self._engine.connect() as connection:
            if self._head is None:
                self._head = await event_store.newest_sequence(connection)
                self.news.notify()
                return True
            events = await event_store.events_after(connection, self._head, "", "", self._batch)
        for event in events:
            assert event.sequence == self._head + 1, "the stream has no holes"
            self._recent.append(self._message(event))
            self._head = event.sequence
        if events:
            self.news.notify()
        return len(events) == self._batch

    async def check(self, cursor: Cursor) -> None:
        """Raises CURSOR_OUTDATED unless the stream goes on at the cursor."""
        if cursor.sequence == 0:
            return
        async with self._engine.connect() as connection:
            known = await event_store.event_epochs(connection)
        check_cursor(known, cursor)

    async def after(
        self,
        sequence: int,
        merchant_id: str = "",
        payment_id: str = "",
        transitions: Collection[str] = (),
    ) -> tuple[list[pb.WatchPaymentsResponse], int]:
        """The next changes, and the sequence up to which the watcher has seen all then."""
        head = self._head
        if head is None or sequence >= head:
            return [], sequence
        kept = len(self._recent)
        if sequence >= head - kept:
            new = list(islice(self._recent, kept - (head - sequence), None))
            return [c for c in new if _matches(c, merchant_id, payment_id, transitions)], head
        async with self._engine.connect() as connection:
            events = await event_store.events_after(
                connection, sequence, merchant_id, payment_id, self._batch, transitions
            )
        if len(events) == self._batch:
            return [self._message(event) for event in events], events[-1].sequence
        seen = max(head, events[-1].sequence) if events else head
        return [self._message(event) for event in events], seen

    def _message(self, event: event_store.StoredEvent) -> pb.WatchPaymentsResponse:
        """A change; one that cannot be read has its place in the stream and its ids, and nothing
        else, so that watchers see no hole and get to the changes behind it."""
        (message,) = self._items.readable(
            [event], change_message, lambda event: str(event.sequence)
        ) or [
            pb.WatchPaymentsResponse(
                epoch=event.epoch,
                sequence=event.sequence,
                transition=event.transition,
                payment=payment_pb2.Payment(id=event.payment_id, merchant_id=event.merchant_id),
                record_time=stamp(event.record_time),
            )
        ]
        return message


def change_message(event: event_store.StoredEvent) -> pb.WatchPaymentsResponse:
    """A change as clients see it."""
    previous = f"{_STATE_PREFIX}{event.previous_state or 'UNSPECIFIED'}"
    return pb.WatchPaymentsResponse(
        epoch=event.epoch,
        sequence=event.sequence,
        transition=event.transition,
        previous_state=payment_pb2.PaymentState.Value(previous),
        payment=payment_pb2.Payment.FromString(event.snapshot),
        record_time=stamp(event.record_time),
    )


def _matches(
    change: pb.WatchPaymentsResponse,
    merchant_id: str,
    payment_id: str,
    transitions: Collection[str],
) -> bool:
    payment = change.payment
    return (
        merchant_id in ("", payment.merchant_id)
        and payment_id in ("", payment.id)
        and (not transitions or change.transition in transitions)
    )
