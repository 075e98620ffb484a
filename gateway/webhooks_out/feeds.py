"""What endpoints are sent changes of: feeds that are numbered after the commit, each with its own
sequences and epochs. The payments' is here; others are given by the parts that they are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.epochs import Epochs, FeedName
from gateway.payments.store.events import STORED, StoredEvent, event_epochs
from gateway.payments.store.schema import EVENT
from gateway.webhooks_out.domain import Feed
from gateway.webhooks_out.messages import body_of


@dataclass(frozen=True, slots=True)
class FeedChange:
    """A change, as far as filters and the order of deliveries need it: what has changed, whose it
    is, and how."""

    sequence: int
    subject_id: str
    merchant_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """What is sent of a change: its place in the feed, when it was recorded, and the body."""

    epoch: int
    sequence: int
    record_time: datetime
    body: bytes


class WebhookFeed(Protocol):
    """A feed that endpoints can be of."""

    @property
    def feed(self) -> Feed:
        """Which one."""
        ...

    @property
    def epochs_of(self) -> FeedName:
        """Whose epochs its sequences belong to."""
        ...

    async def epochs(self, connection: AsyncConnection) -> Epochs:
        """Its epochs, and its last sequence."""
        ...

    async def changes(
        self, connection: AsyncConnection, after: int, limit: int
    ) -> Sequence[FeedChange]:
        """The next changes after a sequence, in order, at most so many."""
        ...

    async def rows(
        self, connection: AsyncConnection, sequences: Sequence[int]
    ) -> Mapping[int, Any]:
        """What messages are made of, by sequence."""
        ...

    def message(self, row: Any) -> OutgoingMessage:
        """The message of one of `rows`. May raise for what cannot be read."""
        ...


Feeds = Mapping[Feed, WebhookFeed]


class PaymentFeed:
    """Changes of payments, as WatchPayments has them."""

    feed = Feed.PAYMENTS
    epochs_of = FeedName.PAYMENTS

    async def epochs(self, connection: AsyncConnection) -> Epochs:
        return await event_epochs(connection)

    async def changes(
        self, connection: AsyncConnection, after: int, limit: int
    ) -> Sequence[FeedChange]:
        statement = (
            select(EVENT.c.sequence, EVENT.c.payment_id, EVENT.c.merchant_id, EVENT.c.transition)
            .where(EVENT.c.sequence > after)
            .order_by(EVENT.c.sequence)
            .limit(limit)
        )
        return [
            FeedChange(row.sequence, row.payment_id, row.merchant_id, row.transition)
            for row in await connection.execute(statement)
        ]

    async def rows(
        self, connection: AsyncConnection, sequences: Sequence[int]
    ) -> Mapping[int, Any]:
        statement = select(*STORED).where(EVENT.c.sequence.in_(sequences))
        found = await connection.execute(statement)
        return {row.sequence: StoredEvent(**row._mapping) for row in found}

    def message(self, row: StoredEvent) -> OutgoingMessage:
        return OutgoingMessage(row.epoch, row.sequence, row.record_time, body_of(row))
