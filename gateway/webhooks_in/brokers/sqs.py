"""Amazon SQS: a FIFO queue with a message group for each subject.

Credentials are found as every AWS client finds them: the role of the machine or container, or
`AWS_…` variables.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from gateway.webhooks_in.brokers.broker import Delivery, End, Letter
from gateway.webhooks_in.errors import BufferUnavailableError, EventTooLargeError
from runtime.batching import Batcher

# SQS's own limits: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
MAX_BATCH = 10
MAX_BATCH_BYTES = 1024 * 1024
# Requests that are on their way at the same time.
MAX_PARALLEL = 8
CONNECT_SECONDS = 2.0
READ_SECONDS = 4.0
TAKE_SECONDS = 1
# What is taken and not acknowledged comes back after this, and holds up its subject until then.
VISIBILITY_SECONDS = 30
# What a queue says of how many messages it has is right a minute later at the earliest:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
COUNT_SECONDS = 300.0


class SqsBroker:
    """`Broker` on one FIFO queue, which the account's operators make."""

    name = "sqs"

    def __init__(
        self,
        queue_url: str,
        region: str,
        *,
        endpoint: str | None = None,
        visibility_seconds: int = VISIBILITY_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        count_seconds: float = COUNT_SECONDS,
    ) -> None:
        self._queue_url = queue_url
        self._region = region
        self._endpoint = endpoint
        self._visibility_seconds = visibility_seconds
        self._connect_seconds = connect_seconds
        self._count_seconds = count_seconds
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._max_bytes = 0
        self._sends: Batcher[Letter, str | None] = Batcher(
            self._send_batch, max_items=MAX_BATCH, max_writes=MAX_PARALLEL
        )

    async def publish(self, letter: Letter) -> bool:
        async with self._failures():
            await self._open()
        if len(letter.content) > self._max_bytes:
            raise EventTooLargeError
        problem = await self._sends.submit(letter)
        if problem is not None:
            raise BufferUnavailableError(problem)
        return True

    async def rewind(self) -> None:
        """SQS has no position: what was not acknowledged comes back by itself."""
        async with self._failures():
            await self._open()

    async def take(self, limit: int) -> list[Delivery]:
        async with self._failures():
            await self._open()
            taken = await self._receive(min(limit, MAX_BATCH), TAKE_SECONDS)
            if len(taken) == MAX_BATCH:
                # There is more. While letters of a subject are out, no other answer has one of
                # the same, so these may be asked for at once.
                more = min((limit - 1) // MAX_BATCH, MAX_PARALLEL)
                for others in await asyncio.gather(
                    *(self._receive(MAX_BATCH, 0) for _ in range(more))
                ):
                    taken += others
        return taken

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        batches = [
            deliveries[start : start + MAX_BATCH] for start in range(0, len(deliveries), MAX_BATCH)
        ]
        async with self._failures():
            # One after the other: letters of one subject go in order.
            for batch in batches:
                await self._delete(batch)

    async def waiting(self) -> int:
        async with self._failures():
            await self._open()
            attributes = await self._attributes(
                "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
            )
        return sum(int(value) for value in attributes.values())

    async def end(self) -> End:
        # It has no positions; only that it is empty later says that all is out of it.
        return (time.monotonic_ns(),)

    async def is_past(self, end: End) -> bool:
        if time.monotonic_ns() - end[0] < self._count_seconds * 1e9:
            return False
        return await self.waiting() == 0

    async def check(self) -> None:
        await self.waiting()

    async def close(self) -> None:
        await self._sends.close()
        await self._stack.aclose()
        self._client = None

    async def _open(self) -> None:
        async with self._opening:
            if self._client is None:
                config = AioConfig(
                    connect_timeout=self._connect_seconds,
                    read_timeout=READ_SECONDS,
                    # Who called decides whether to try again.
                    retries={"total_max_attempts": 1},
                    max_pool_connections=2 * MAX_PARALLEL,
                )
                self._client = await self._stack.enter_async_context(
                    get_session().create_client(
                        "sqs",
                        region_name=self._region,
                        endpoint_url=self._endpoint,
                        config=config,
                    )
                )
        if self._max_bytes == 0:
            attributes = await self._attributes("MaximumMessageSize")
            self._max_bytes = int(attributes["MaximumMessageSize"])

    async def _send_batch(self, letters: Sequence[Letter]) -> list[str | None]:
        """What is wrong with each letter. Large ones go in several requests."""
        problems: list[str | None] = []
        for part in _within_bytes(letters):
            async with self._failures():
                answer = await self._client.send_message_batch(
                    QueueUrl=self._queue_url,
                    Entries=[
                        {
                            "Id": str(number),
                            "MessageBody": letter.content.decode("ascii"),
                            "MessageGroupId": _digest(letter.subject),
                            "MessageDeduplicationId": _digest(letter.unique_id),
                        }
                        for number, letter in enumerate(part)
                    ],
                )
            failed = {int(entry["Id"]): entry["Code"] for entry in answer.get("Failed", [])}
            problems += [failed.get(number) for number in range(len(part))]
        return problems

    async def _receive(self, limit: int, wait_seconds: int) -> list[Delivery]:
        answer = await self._client.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self._visibility_seconds,
        )
        return [
            Delivery(one["Body"].encode(), one["MessageId"], one["ReceiptHandle"])
            for one in answer.get("Messages", [])
        ]

    async def _delete(self, batch: Sequence[Delivery]) -> None:
        answer = await self._client.delete_message_batch(
            QueueUrl=self._queue_url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": one.receipt}
                for number, one in enumerate(batch)
            ],
        )
        if answer.get("Failed"):
            raise BufferUnavailableError(str(answer["Failed"][0]["Code"]))

    async def _attributes(self, *names: str) -> dict[str, str]:
        answer = await self._client.get_queue_attributes(
            QueueUrl=self._queue_url, AttributeNames=list(names)
        )
        attributes: dict[str, str] = answer["Attributes"]
        return attributes

    @staticmethod
    @asynccontextmanager
    async def _failures() -> AsyncIterator[None]:
        try:
            yield
        except ClientError as error:
            raise BufferUnavailableError(str(error.response["Error"]["Code"])) from error
        except (BotoCoreError, OSError) as error:
            raise BufferUnavailableError(type(error).__name__) from error


def _digest(text: str) -> str:
    """Ids of SQS have at most 128 characters."""
    return hashlib.sha256(text.encode()).hexdigest()


def _within_bytes(letters: Sequence[Letter]) -> list[list[Letter]]:
    """The letters in order, in parts that one request may have."""
    parts: list[list[Letter]] = []
    size = 0
    for letter in letters:
        if not parts or size + len(letter.content) > MAX_BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(letter)
        size += len(letter.content)
    return parts
