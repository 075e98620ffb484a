"""The broker relay: moves events from a broker into the inbox; only what is committed there is
acknowledged."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.webhooks_in import telemetry
from gateway.webhooks_in.brokers.broker import Broker, Delivery, unpack
from gateway.webhooks_in.errors import BufferUnavailableError
from gateway.webhooks_in.event import NotAnEventError, ReceivedEvent
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.durability_watch import DurabilityWatch, NotSynchronousError
from runtime.items import DeadLetter, DeadLetterError, Items
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds

MAX_BATCH = 200
RETRY_SECONDS = 1.0
# How often the broker is asked how much is waiting in it.
COUNT_SECONDS = 5.0
# Of PostgreSQL's advisory locks, the one for broker relays; any number no other lock has.
LOCK = 0x63617272
TRY_LOCK = text("SELECT pg_try_advisory_lock(:lock)")
UNLOCK = text("SELECT pg_advisory_unlock(:lock)")
# A broker relay whose machine has gone must not keep the lock for the two hours of TCP's defaults.
NOTICE_DEAD_PEER = text(
    "SELECT set_config('tcp_keepalives_idle', '5', false),"
    " set_config('tcp_keepalives_interval', '5', false),"
    " set_config('tcp_keepalives_count', '3', false),"
    " set_config('tcp_user_timeout', '20000', false)"
)

log = get_logger(__name__)


class BrokerRelay:
    """The way from a broker to the inbox.

    Any number of processes may have one; a lock in PostgreSQL lets one at a time work. It stores
    on the connection that holds the lock, so one that has lost the lock can store nothing, and
    the next begins with the oldest event that is not acknowledged: order is kept, and what comes
    twice is found in the inbox by its id.
    """

    def __init__(
        self,
        broker: Broker,
        inbox: PostgresInbox,
        engine: AsyncEngine,
        *,
        max_batch: int = MAX_BATCH,
        durability: DurabilityWatch | None = None,
    ) -> None:
        """One connection of the engine is kept for as long as it works. What is in memory at a
        time is one batch."""
        self._broker = broker
        self._inbox = inbox
        self._engine = engine
        self._max_batch = max_batch
        self._durability = durability
        self._items = Items("webhooks to relay")

    def loop(self, finish_seconds: float) -> Loop:
        """Works, or waits for its turn; has that long to finish the batch in hand."""
        return Loop(
            "broker relay",
            session=self._turn,
            poll_seconds=RETRY_SECONDS,
            finish_seconds=finish_seconds,
            expected=(BufferUnavailableError, NotSynchronousError),
            on_expected=self._wait,
        )

    def _wait(self, error: Exception) -> None:
        reason = getattr(error, "reason", type(error).__name__)
        log.warning("broker_relay_waits", broker=self._broker.name, error=reason)

    async def _turn(self) -> Rounds:
        """The rounds for as long as this one has the lock; none while another broker relay does."""
        async with self._lock() as connection:
            if connection is None:
                return
            await self._broker.rewind()
            log.info("broker_relay_begins", broker=self._broker.name)
            next_count = time.monotonic()
            while True:  # Until the loop closes it.
                deliveries = await self._broker.take(self._max_batch)
                if deliveries:
                    await self._store(deliveries, connection)
                else:
                    await self._notice_loss(connection)
                if time.monotonic() >= next_count:
                    telemetry.buffer_waiting.set(await self._broker.waiting())
                    next_count = time.monotonic() + COUNT_SECONDS
                # The broker has waited for events itself.
                yield True

    async def _store(self, deliveries: Sequence[Delivery], connection: AsyncConnection) -> None:
        by_key = {delivery.position: delivery for delivery in deliveries}

        async def set_aside(dead: Sequence[DeadLetter]) -> None:
            for letter in dead:
                await self._set_aside(by_key[letter.key], letter.reason, connection)

        received = await self._items.claimed(
            deliveries, _received, lambda delivery: delivery.position, set_aside
        )
        stored = await self._inbox.store_all(received, connection) if received else []
        if self._durability is not None:
            # The broker forgets what is acknowledged.
            self._durability.check()
        await self._broker.acknowledge(deliveries)
        telemetry.relayed.labels("stored").inc(stored.count(True))
        telemetry.relayed.labels("duplicate").inc(stored.count(False))

    async def _set_aside(
        self, delivery: Delivery, reason: str, connection: AsyncConnection
    ) -> None:
        """What intake did not put into the broker, or a newer intake did, is kept for a person."""
        await self._inbox.set_aside(
            self._broker.name, delivery.position, delivery.content, reason, connection
        )
        telemetry.relayed.labels("unreadable").inc()

    @staticmethod
    async def _notice_loss(connection: AsyncConnection) -> None:
        """Raises if the connection is lost, and with it the lock, while nothing comes in."""
        async with connection.begin():
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[AsyncConnection | None]:
        """The connection that holds the lock; None while another broker relay does."""
        async with self._engine.connect() as connection:
            async with connection.begin():
                await connection.execute(NOTICE_DEAD_PEER)
                locked = (await connection.execute(TRY_LOCK, {"lock": LOCK})).scalar_one()
            if not locked:
                yield None
                return
            try:
                yield connection
            except BaseException:
                # Whatever state it is in: the lock goes with the connection.
                await connection.invalidate()
                raise
            async with connection.begin():
                await connection.execute(UNLOCK, {"lock": LOCK})


def _received(delivery: Delivery) -> ReceivedEvent:
    try:
        return ReceivedEvent(*unpack(delivery.content))
    except NotAnEventError as error:
        raise DeadLetterError(str(error)) from error
