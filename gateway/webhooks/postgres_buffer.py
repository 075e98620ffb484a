"""The default buffer: the inbox itself."""

from sqlalchemy.exc import SQLAlchemyError

from gateway.webhooks.buffer import BufferUnavailableError
from gateway.webhooks.event import ReceivedEvent, StripeEvent
from gateway.webhooks.gathering import Gathering
from gateway.webhooks.inbox import PostgresInbox
from runtime.clock import Clock

MAX_STORED_AT_ONCE = 128


class PostgresBuffer:
    """`Buffer` on the inbox. Events that come in while one commit is under way share the next."""

    def __init__(self, inbox: PostgresInbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock
        self._store = Gathering(inbox.store_all, max_items=MAX_STORED_AT_ONCE)

    async def store(self, event: StripeEvent) -> bool:
        try:
            return await self._store(ReceivedEvent(event, self._clock.now()))
        except (SQLAlchemyError, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error

    async def check(self) -> None:
        try:
            await self._inbox.ping()
        except (SQLAlchemyError, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error

    async def close(self) -> None:
        await self._store.close()
