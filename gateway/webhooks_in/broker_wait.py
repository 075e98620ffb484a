"""Waiting for a broker that is away for a moment, inside the time that Stripe gives a webhook.

While a stream has no leader, or connections are made anew, a broker refuses at once. Who answers
Stripe 503 then has the event hours later; who waits has it as soon as there is a leader again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from gateway.webhooks_in import telemetry
from gateway.webhooks_in.errors import BufferUnavailableError
from runtime.backoff import Backoff
from runtime.draining import Drain

# JetStream and Kafka choose a leader in less; with the time that a body may take it stays below
# what Stripe waits for an answer.
BROKER_WAIT_SECONDS = 8.0
# Of webhooks at once, whose bodies `MAX_BYTES_IN_FLIGHT` bounds: half of the connections that the
# HTTP port has by default. One more is refused at once.
MAX_WAITING = 256
RETRY = Backoff(timedelta(milliseconds=100), timedelta(seconds=1))
_jitter = random.SystemRandom().random


class BrokerWait:
    """Tries again what a broker refuses, for so long and for so many at once."""

    def __init__(
        self,
        drain: Drain,
        *,
        seconds: float = BROKER_WAIT_SECONDS,
        max_waiting: int = MAX_WAITING,
        jitter: Callable[[], float] = _jitter,
    ) -> None:
        """`seconds` are counted from the first attempt, which may take as long as it does; when the
        server drains, nothing is tried again."""
        self._drain = drain
        self._seconds = seconds
        self._max_waiting = max_waiting
        self._jitter = jitter
        self._waiting = 0

    async def until_done(self, attempt: Callable[[], Awaitable[bool]]) -> bool:
        """What the first attempt that is no `BufferUnavailableError` gives or raises; the last such
        error when there is no time left, no room to wait in, or the server drains."""
        end = asyncio.get_running_loop().time() + self._seconds
        try:
            return await attempt()
        except BufferUnavailableError as error:
            refused = error
        failures = 1
        with self._place(refused), suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                while not await self._drains_within(RETRY.pause(failures, self._jitter())):
                    try:
                        return await attempt()
                    except BufferUnavailableError as error:
                        refused = error
                    failures += 1
        raise refused

    async def _drains_within(self, pause: timedelta) -> bool:
        """Whether the server drains, as soon as it does; False after the pause."""
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._drain.wait()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def _place(self, refused: BufferUnavailableError) -> Iterator[None]:
        if self._waiting >= self._max_waiting:
            raise refused
        self._waiting += 1
        telemetry.waiting_for_broker.set(self._waiting)
        try:
            yield
        finally:
            self._waiting -= 1
            telemetry.waiting_for_broker.set(self._waiting)
