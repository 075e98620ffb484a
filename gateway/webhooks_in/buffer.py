"""The durable buffer between intake and processing: an interface, the inbox itself as the default,
and a broker."""

from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from gateway.webhooks_in.broker_wait import BrokerWait
from gateway.webhooks_in.brokers.broker import Broker, Letter, pack
from gateway.webhooks_in.errors import BufferUnavailableError
from gateway.webhooks_in.event import ReceivedEvent, StripeEvent
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.batching import Batcher
from runtime.clock import Clock
from runtime.durability_watch import DurabilityWatch, NotSynchronousError


class Buffer(Protocol):
    """Keeps events from the moment that Stripe is answered 200."""

    async def store(self, event: StripeEvent) -> bool:
        """Returns when the event is kept durably; False if it is known to have been there.

        True says nothing: the inbox is what finds every duplicate. Raises
        `BufferUnavailableError` and `EventTooLargeError`; then Stripe must not be answered 200.
        """
        ...

    async def check(self) -> None:
        """Returns if `store` can be expected to work, and raises if not; for health."""
        ...

    async def close(self) -> None:
        """Ends what is in flight and the connections."""
        ...


class BrokerBuffer:
    """`Buffer` on a broker, from which a `BrokerRelay` moves events into the inbox."""

    def __init__(self, broker: Broker, clock: Clock, wait: BrokerWait) -> None:
        self._broker = broker
        self._clock = clock
        self._wait = wait

    async def store(self, event: StripeEvent) -> bool:
        # However often it is published, it is the same letter: what seems to have failed may have
        # been kept.
        letter = Letter(
            content=pack(event, self._clock.now()),
            subject=event.subject,
            unique_id=f"{event.corridor}/{event.event_id}",
        )
        return await self._wait.until_done(lambda: self._broker.publish(letter))

    async def check(self) -> None:
        await self._broker.check()

    async def close(self) -> None:
        await self._broker.close()


MAX_STORED_AT_ONCE = 128


class PostgresBuffer:
    """`Buffer` on the inbox. Events that come in while one commit is under way share the next."""

    def __init__(
        self, inbox: PostgresInbox, clock: Clock, durability: DurabilityWatch | None = None
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._durability = durability
        self._stores: Batcher[ReceivedEvent, bool] = Batcher(
            inbox.store_all, max_items=MAX_STORED_AT_ONCE
        )

    async def store(self, event: StripeEvent) -> bool:
        self._check_durable()
        try:
            stored = await self._stores.submit(ReceivedEvent(event, self._clock.now()))
        except (SQLAlchemyError, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error
        self._check_durable()
        return stored

    def _check_durable(self) -> None:
        if self._durability is not None:
            try:
                self._durability.check()
            except NotSynchronousError as error:
                raise BufferUnavailableError(str(error)) from error

    async def check(self) -> None:
        try:
            await self._inbox.ping()
        except (SQLAlchemyError, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error

    async def close(self) -> None:
        await self._stores.close()
