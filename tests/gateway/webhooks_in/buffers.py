"""The four buffers of events, for tests that are the same for all."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from aiobotocore.session import get_session
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_in.broker_relay import MAX_BATCH, BrokerRelay
from gateway.webhooks_in.broker_wait import BrokerWait
from gateway.webhooks_in.brokers.broker import Broker
from gateway.webhooks_in.brokers.kafka import KafkaBroker
from gateway.webhooks_in.brokers.nats import NatsBroker
from gateway.webhooks_in.brokers.sqs import SqsBroker
from gateway.webhooks_in.buffer import BrokerBuffer, Buffer, PostgresBuffer
from gateway.webhooks_in.event import StripeEvent
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.clock import ManualClock
from runtime.draining import Drain
from runtime.postgres import create_engine
from runtime.tasks import cancel
from tests.gateway.webhooks_in.broker_servers import NatsServer, PythonServer

# What a crashed relay had in hand comes back after this.
SQS_VISIBILITY_SECONDS = 2
ARRIVE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.02


async def at_last(is_true: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is true, and raises `TimeoutError` if it does not come true."""
    async with asyncio.timeout(ARRIVE_SECONDS):
        while True:
            if await is_true():
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


@dataclass
class BufferHarness:
    """One of the four, with a stream, topic, queue or database of its own."""

    name: str
    clock: ManualClock
    engine: AsyncEngine
    database_url: str
    settings: dict[str, str]
    """What a gateway has to be told to use it."""
    new_broker: Callable[[], Broker | None]
    cut: Callable[[], Awaitable[None]]
    """Takes what buffers away, and `restore` brings it back with what was in it."""
    restore: Callable[[], Awaitable[None]]
    brokers: list[Broker] = field(default_factory=list)

    @property
    def inbox(self) -> PostgresInbox:
        return PostgresInbox(self.engine, self.clock)

    def new_buffer(self, wait: BrokerWait | None = None) -> Buffer:
        """A client of what buffers that is not connected yet; closed after the test. Unless it is
        told to, it waits for no broker."""
        broker = self.broker()
        if broker is None:
            return PostgresBuffer(self.inbox, self.clock)
        return BrokerBuffer(broker, self.clock, wait or BrokerWait(Drain(), max_waiting=0))

    def broker(self) -> Broker | None:
        """The broker, if there is one."""
        broker = self.new_broker()
        if broker is not None:
            self.brokers.append(broker)
        return broker

    @asynccontextmanager
    async def relaying(
        self, *, broker: Broker | None = None, max_batch: int = MAX_BATCH
    ) -> AsyncIterator[Callable[[], None]]:
        """A broker relay at work, where one is needed, and what stops it; it is stopped at the end
        of the block."""
        broker = broker or self.broker()
        if broker is None:
            yield lambda: None
            return
        engine = create_engine(
            self.database_url, role="gateway_service", pool_size=1, application_name="relay"
        )
        loop = BrokerRelay(broker, self.inbox, engine, max_batch=max_batch).loop(ARRIVE_SECONDS)
        task = asyncio.create_task(loop.run())
        try:
            yield loop.finish
        except BaseException:
            # As a kill would.
            await cancel(task)
            raise
        else:
            loop.finish()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            # A rest is cut off.
            assert end is None or isinstance(end, asyncio.CancelledError), end
        finally:
            await engine.dispose()

    async def in_inbox(self) -> list[str]:
        """Ids of the events in the inbox, in order."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT event_id FROM webhook_event ORDER BY sequence")
            )
            return list(rows.scalars())

    async def arrived(self, count: int) -> list[str]:
        """The ids in the inbox, as soon as there are so many."""
        found: list[str] = []

        async def are_there() -> bool:
            nonlocal found
            # The database is away in some tests.
            with contextlib.suppress(SQLAlchemyError):
                found = await self.in_inbox()
            return len(found) >= count

        await at_last(are_there)
        return found

    async def arrived_all(self, *events: StripeEvent) -> list[str]:
        """The ids in the inbox, as soon as all of these are among them."""
        found: list[str] = []

        async def are_there() -> bool:
            nonlocal found
            found = await self.in_inbox()
            return {one.event_id for one in events} <= set(found)

        await at_last(are_there)
        return found

    async def unreadable(self) -> list[bytes]:
        """What was set aside, in order."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT content FROM webhook_unreadable ORDER BY unreadable_number")
            )
            return [bytes(one) for one in rows.scalars()]

    async def cut_database(self) -> None:
        """Nobody can connect any more, and who was connected no longer is."""
        await self._administer(
            "ALTER DATABASE {} ALLOW_CONNECTIONS false",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {literal}",
        )

    async def restore_database(self) -> None:
        await self._administer("ALTER DATABASE {} ALLOW_CONNECTIONS true")

    async def _administer(self, *statements: str) -> None:
        parts: dict[str, Any] = conninfo_to_dict(self.database_url)
        name = str(parts["dbname"])
        async with await psycopg.AsyncConnection.connect(
            **{**parts, "dbname": "postgres"}, autocommit=True
        ) as connection:
            for statement in statements:
                await connection.execute(
                    sql.SQL(statement).format(sql.Identifier(name), literal=sql.Literal(name))
                )

    async def close(self) -> None:
        for broker in self.brokers:
            await broker.close()


async def postgres_buffer(
    clock: ManualClock, engine: AsyncEngine, database_url: str
) -> BufferHarness:
    harness = BufferHarness(
        "postgres", clock, engine, database_url, {}, lambda: None, _nothing, _nothing
    )
    harness.cut, harness.restore = harness.cut_database, harness.restore_database
    return harness


async def nats_buffer(
    clock: ManualClock, engine: AsyncEngine, database_url: str, server: NatsServer
) -> BufferHarness:
    stream = f"events-{uuid.uuid4().hex}"
    settings = {
        "GATEWAY_WEBHOOK_BUFFER": "nats",
        "GATEWAY_WEBHOOK_NATS_URLS": server.url,
        "GATEWAY_WEBHOOK_NATS_STREAM": stream,
    }
    return BufferHarness(
        "nats",
        clock,
        engine,
        database_url,
        settings,
        lambda: NatsBroker([server.url], stream),
        server.cut,
        server.restore,
    )


async def kafka_buffer(
    clock: ManualClock, engine: AsyncEngine, database_url: str, server: PythonServer
) -> BufferHarness:
    # The mock cluster makes a topic, of four partitions, when it is first asked about.
    topic = f"events-{uuid.uuid4().hex}"
    settings = {
        "GATEWAY_WEBHOOK_BUFFER": "kafka",
        "GATEWAY_WEBHOOK_KAFKA_SERVERS": server.address,
        "GATEWAY_WEBHOOK_KAFKA_TOPIC": topic,
    }
    login = {"security.protocol": "plaintext"}
    return BufferHarness(
        "kafka",
        clock,
        engine,
        database_url,
        settings,
        lambda: KafkaBroker(server.address, topic, "gateway-inbox", login),
        server.cut,
        server.restore,
    )


async def sqs_buffer(
    clock: ManualClock, engine: AsyncEngine, database_url: str, server: PythonServer
) -> BufferHarness:
    endpoint = f"http://127.0.0.1:{server.address}"
    url = await make_queue(endpoint)
    settings = {
        "GATEWAY_WEBHOOK_BUFFER": "sqs",
        "GATEWAY_WEBHOOK_SQS_QUEUE_URL": url,
        "GATEWAY_WEBHOOK_SQS_REGION": "eu-central-1",
        "GATEWAY_WEBHOOK_SQS_ENDPOINT": endpoint,
    }
    return BufferHarness(
        "sqs",
        clock,
        engine,
        database_url,
        settings,
        lambda: SqsBroker(
            url,
            "eu-central-1",
            endpoint=endpoint,
            visibility_seconds=SQS_VISIBILITY_SECONDS,
            count_seconds=0,
            connect_seconds=ARRIVE_SECONDS,
        ),
        server.cut,
        server.restore,
    )


async def make_queue(endpoint: str, **attributes: str) -> str:
    """The URL of a new FIFO queue."""
    async with get_session().create_client(
        "sqs", region_name="eu-central-1", endpoint_url=endpoint
    ) as client:
        made = await client.create_queue(
            QueueName=f"events-{uuid.uuid4().hex}.fifo",
            Attributes={"FifoQueue": "true", **attributes},
        )
        url: str = made["QueueUrl"]
        return url


async def _nothing() -> None:
    """Replaced at once."""
