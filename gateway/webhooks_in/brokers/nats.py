"""NATS JetStream: a work-queue stream on disk, from which a pull consumer takes in order."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamState,
)
from nats.js.errors import NotFoundError

from gateway.webhooks_in.brokers.broker import Delivery, End, Letter
from gateway.webhooks_in.errors import BufferUnavailableError, EventTooLargeError
from runtime.logs import get_logger
from runtime.tasks import cancel

CONNECT_SECONDS = 2
ACKNOWLEDGE_SECONDS = 3.0
# Repetitions within this time are recognised by the server; the inbox recognises the others.
DUPLICATE_SECONDS = 120.0
# Nothing but a lost connection makes it deliver again, and then the consumer is made again.
REDELIVER_SECONDS = 60.0
TAKE_SECONDS = 1.0
# Once there is one letter, so long the others that are there may take.
REST_SECONDS = 0.05
RECONNECT_SECONDS = 1
PING_SECONDS = 5
MAX_LOST_PINGS = 2
# Its name and protocol lines count towards the server's limit, too.
HEADER_BYTES = 1024
CONSUMER = "inbox"

log = get_logger(__name__)


class NatsBroker:
    """`Broker` on one stream, which is made if it is not there. The server must have JetStream."""

    name = "nats"

    def __init__(
        self,
        servers: Sequence[str],
        stream: str,
        *,
        replicas: int = 1,
        credentials_file: Path | None = None,
    ) -> None:
        """`servers` are URLs, which may hold a login."""
        self._servers = list(servers)
        self._stream = stream
        self._subject = f"{stream}.events"
        self._replicas = replicas
        self._credentials_file = credentials_file
        self._client: Client | None = None
        self._connecting: asyncio.Task[Client] | None = None
        self._consumer: JetStreamContext.PullSubscription | None = None

    async def publish(self, letter: Letter) -> bool:
        try:
            stream = await self._jetstream()
            if len(letter.content) + HEADER_BYTES > self._connected().max_payload:
                raise EventTooLargeError
            taken = await stream.publish(
                self._subject, letter.content, headers={"Nats-Msg-Id": letter.unique_id}
            )
        except (nats.errors.Error, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error
        return not taken.duplicate

    async def rewind(self) -> None:
        try:
            stream = await self._jetstream()
            # A new consumer of a work queue begins with the oldest letter that was not
            # acknowledged, and a process that still takes from the old one gets nothing more.
            try:
                await stream.delete_consumer(self._stream, CONSUMER)
            except NotFoundError:
                log.info("webhook_consumer_new", broker=self.name)
            self._consumer = await stream.pull_subscribe(
                self._subject,
                CONSUMER,
                stream=self._stream,
                config=ConsumerConfig(
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=REDELIVER_SECONDS,
                    deliver_policy=DeliverPolicy.ALL,
                ),
            )
        except (nats.errors.Error, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error

    async def take(self, limit: int) -> list[Delivery]:
        assert self._consumer is not None, "rewound first"
        try:
            self._connected()
            taken = await self._consumer.fetch(1, timeout=TAKE_SECONDS)
            if limit > 1:
                # There may be no other. When the answer comes as the wait ends, the client raises
                # the language's own error instead of its own, which is one of it.
                with contextlib.suppress(TimeoutError):
                    taken += await self._consumer.fetch(limit - 1, timeout=REST_SECONDS)
        except TimeoutError:
            return []
        except (nats.errors.Error, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error
        return [Delivery(one.data, str(one.metadata.sequence.stream), one) for one in taken]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        try:
            self._connected()
            await asyncio.gather(
                *(one.receipt.ack_sync(timeout=ACKNOWLEDGE_SECONDS) for one in deliveries)
            )
        except (nats.errors.Error, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error

    async def waiting(self) -> int:
        return (await self._state()).messages

    async def end(self) -> End:
        return ((await self._state()).last_seq,)

    async def is_past(self, end: End) -> bool:
        # A work queue has no longer what was acknowledged.
        state = await self._state()
        return state.messages == 0 or state.first_seq > end[0]

    async def check(self) -> None:
        await self.waiting()

    async def close(self) -> None:
        if self._connecting is not None:
            await cancel(self._connecting)
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _state(self) -> StreamState:
        try:
            stream = await self._jetstream()
            return (await stream.stream_info(self._stream)).state
        except (nats.errors.Error, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error

    def _connected(self) -> Client:
        # The client would keep what is sent while it reconnects, and its caller waiting.
        if self._client is None or not self._client.is_connected:
            raise BufferUnavailableError("disconnected")
        return self._client

    async def _jetstream(self) -> JetStreamContext:
        if self._client is None or self._client.is_closed:
            # All who come meanwhile share one attempt.
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
                self._connecting.add_done_callback(self._connecting_ended)
            self._client = await asyncio.shield(self._connecting)
        return self._connected().jetstream(timeout=ACKNOWLEDGE_SECONDS)

    def _connecting_ended(self, attempt: asyncio.Task[Client]) -> None:
        self._connecting = None
        if not attempt.cancelled():
            attempt.exception()  # Whoever waits for it gets it as well.

    async def _connect(self) -> Client:
        client = Client()
        try:
            # By itself the client would try its first connection for ever, too.
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect(
                    self._servers,
                    name="gateway webhooks",
                    user_credentials=self._credentials_file and str(self._credentials_file),
                    connect_timeout=CONNECT_SECONDS,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=MAX_LOST_PINGS,
                    error_cb=self._report,
                    disconnected_cb=self._report_disconnect,
                )
                await self._open_stream(client.jetstream(timeout=ACKNOWLEDGE_SECONDS))
        except BaseException:
            await client.close()
            raise
        return client

    async def _open_stream(self, context: JetStreamContext) -> None:
        try:
            config = (await context.stream_info(self._stream)).config
        except NotFoundError:
            config = StreamConfig(
                name=self._stream,
                subjects=[self._subject],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                discard=DiscardPolicy.NEW,
                duplicate_window=DUPLICATE_SECONDS,
                num_replicas=self._replicas,
            )
            await context.add_stream(config)
        # A stream that may drop events is refused, whoever made it.
        if (config.retention, config.storage, config.discard) != (
            RetentionPolicy.WORK_QUEUE,
            StorageType.FILE,
            DiscardPolicy.NEW,
        ):
            log.error("webhook_stream_unfit", stream=self._stream)
            raise BufferUnavailableError("stream_unfit")

    async def _report(self, error: Exception) -> None:
        log.warning("webhook_broker_error", broker=self.name, error=type(error).__name__)

    async def _report_disconnect(self) -> None:
        log.warning("webhook_broker_disconnected", broker=self.name)
