"""Kafka: a topic whose partitions keep the order of a subject, and committed offsets.

librdkafka works in threads of its own and calls back in a thread that polls; what blocks runs in
one more thread, because a consumer is for one thread at a time.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_STORED,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from gateway.webhooks_in.brokers.broker import Delivery, End, Letter
from gateway.webhooks_in.errors import BufferUnavailableError, EventTooLargeError
from runtime.logs import get_logger

# Kafka's default for message.max.bytes, less what a record has beside its value.
MAX_CONTENT_BYTES = 1_000_000
PUBLISH_SECONDS = 3.0
TAKE_SECONDS = 1.0
# Once there is one letter, so long the others that are there may take.
REST_SECONDS = 0.05
ANSWER_SECONDS = 3.0
# Company for a message is waited for so long; it halves the requests under load.
LINGER_MS = 2
MAX_QUEUED_MESSAGES = 10_000
MAX_QUEUED_KILOBYTES = 64 * 1024
MAX_PREFETCHED_KILOBYTES = 8 * 1024
POLL_SECONDS = 0.1

Answer = TypeVar("Answer")
log = get_logger(__name__)


class KafkaBroker:
    """`Broker` on one topic, which the cluster's operators make. `group` names the position."""

    name = "kafka"

    def __init__(self, servers: str, topic: str, group: str, login: Mapping[str, str]) -> None:
        """`login` is what librdkafka wants to know about TLS and SASL."""
        self._topic = topic
        self._group = group
        self._common: dict[str, Any] = {
            "bootstrap.servers": servers,
            "client.id": "gateway-webhooks",
            "error_cb": self._report,
            "log_level": 2,
            "reconnect.backoff.max.ms": 1000,
            **login,
        }
        self._producer = Producer(
            {
                **self._common,
                # Repetitions that the client itself causes are dropped, and order is kept.
                "enable.idempotence": True,
                "acks": "all",
                "delivery.timeout.ms": int(PUBLISH_SECONDS * 1000),
                "message.max.bytes": MAX_CONTENT_BYTES + 1024,
                "linger.ms": LINGER_MS,
                "queue.buffering.max.messages": MAX_QUEUED_MESSAGES,
                "queue.buffering.max.kbytes": MAX_QUEUED_KILOBYTES,
            }
        )
        self._consumer: Consumer | None = None
        self._asker: Consumer | None = None
        self._blocking = ThreadPoolExecutor(1, "kafka-consumer")
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._poller.start()

    async def publish(self, letter: Letter) -> bool:
        if len(letter.content) > MAX_CONTENT_BYTES:
            raise EventTooLargeError
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[KafkaError | None] = loop.create_future()

        def delivered(error: KafkaError | None, _message: Message) -> None:
            # The loop is gone if the process ends without waiting for us.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, kept, error)

        try:
            self._producer.produce(
                self._topic, letter.content, key=letter.subject, on_delivery=delivered
            )
        except (BufferError, KafkaException) as error:
            raise BufferUnavailableError(_reason(error)) from error
        problem = await kept
        if problem is not None:
            raise BufferUnavailableError(problem.name())
        return True

    async def rewind(self) -> None:
        await self._block(self._reopen)

    async def take(self, limit: int) -> list[Delivery]:
        def consume() -> list[Delivery]:
            consumer = self._opened()
            messages = consumer.consume(1, TAKE_SECONDS)
            if messages and limit > 1:
                # It waits until it has as many as it may have, or for all of the time.
                messages += consumer.consume(limit - 1, REST_SECONDS)
            return [_delivery(message) for message in messages]

        return await self._block(consume)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        # In order per partition, so the last one of each counts.
        next_offsets = {one.receipt[0]: one.receipt[1] + 1 for one in deliveries}
        offsets = [
            TopicPartition(self._topic, partition, offset)
            for partition, offset in next_offsets.items()
        ]

        def commit() -> None:
            for done in self._opened().commit(offsets=offsets, asynchronous=False) or []:
                if done.error is not None:
                    raise KafkaException(done.error)

        await self._block(commit)

    async def waiting(self) -> int:
        return sum(end - done for done, end in await self._block(self._offsets))

    async def end(self) -> End:
        return tuple(end for _, end in await self._block(self._offsets))

    async def is_past(self, end: End) -> bool:
        offsets = await self._block(self._offsets)
        # Partitions that are more since then begin behind that end.
        return len(offsets) >= len(end) and all(
            done >= before for (done, _), before in zip(offsets, end, strict=False)
        )

    async def check(self) -> None:
        def describe() -> None:
            described = self._producer.list_topics(self._topic, timeout=ANSWER_SECONDS)
            problem = described.topics[self._topic].error
            if problem is not None:
                raise KafkaException(problem)

        try:
            # Not in the consumer's thread, which may be waiting for letters.
            await asyncio.to_thread(describe)
        except KafkaException as error:
            raise BufferUnavailableError(_reason(error)) from error

    async def close(self) -> None:
        if self._closing.is_set():
            return
        await asyncio.to_thread(self._producer.flush, PUBLISH_SECONDS)
        self._closing.set()
        await asyncio.to_thread(self._poller.join)
        await asyncio.get_running_loop().run_in_executor(self._blocking, self._close_consumer)
        await asyncio.to_thread(self._blocking.shutdown)

    def _reopen(self) -> None:
        self._close_consumer()
        self._consumer = consumer = self._new_consumer()
        # All of them, whatever else is in the group: there is one broker relay at a time.
        consumer.assign(
            [
                TopicPartition(self._topic, number, OFFSET_STORED)
                for number in self._partitions(consumer)
            ]
        )

    def _new_consumer(self) -> Consumer:
        return Consumer(
            {
                **self._common,
                "group.id": self._group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # A group without a position has everything before it.
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": MAX_PREFETCHED_KILOBYTES,
            }
        )

    def _partitions(self, consumer: Consumer) -> list[int]:
        described = consumer.list_topics(self._topic, timeout=ANSWER_SECONDS)
        topic = described.topics[self._topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return sorted(topic.partitions)

    def _offsets(self) -> list[tuple[int, int]]:
        """Of each partition, up to where it is acknowledged, and where it ends."""
        consumer = self._consumer
        if consumer is None:
            # The broker relay may be another process; one that has no partitions only asks.
            consumer = self._asker = self._asker or self._new_consumer()
        partitions = [TopicPartition(self._topic, number) for number in self._partitions(consumer)]
        offsets = []
        for committed in consumer.committed(partitions, timeout=ANSWER_SECONDS):
            low, high = consumer.get_watermark_offsets(committed, timeout=ANSWER_SECONDS)
            offsets.append((max(low, committed.offset), high))
        return offsets

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise BufferUnavailableError("not_taking")
        return self._consumer

    def _close_consumer(self) -> None:
        consumers = self._consumer, self._asker
        self._consumer = self._asker = None
        for consumer in consumers:
            if consumer is not None:
                consumer.close()

    async def _block(self, call: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._blocking, call)
        except KafkaException as error:
            raise BufferUnavailableError(_reason(error)) from error

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_SECONDS)

    def _report(self, error: KafkaError) -> None:
        log.warning("webhook_broker_error", broker=self.name, error=error.name())


def _resolve(kept: asyncio.Future[KafkaError | None], error: KafkaError | None) -> None:
    if not kept.done():
        kept.set_result(error)


def _delivery(message: Message) -> Delivery:
    problem = message.error()
    if problem is not None:
        raise KafkaException(problem)
    partition, offset = message.partition(), message.offset()
    assert partition is not None, "a message that was taken lies in a partition"
    assert offset is not None, "and has its place there"
    return Delivery(message.value() or b"", f"{partition}/{offset}", (partition, offset))


def _reason(error: BufferError | KafkaException) -> str:
    if isinstance(error, KafkaException) and isinstance(error.args[0], KafkaError):
        return error.args[0].name()
    return type(error).__name__
