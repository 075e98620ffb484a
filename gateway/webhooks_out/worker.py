"""The sending worker: claims deliveries that are due, sends them, writes down what came of it.

Any number of workers may run. A delivery is sent at least once: a process that is killed between
the answer and the commit leaves it to be sent again, with the same id, by which clients know it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.limits import LIMITS
from gateway.webhooks_out import deliveries, store, telemetry
from gateway.webhooks_out.deliveries import ClaimedDelivery
from gateway.webhooks_out.domain import Endpoint, EndpointState, Feed, endpoint_after, webhook_id
from gateway.webhooks_out.feeds import Feeds
from runtime.clock import Clock
from runtime.items import DeadLetter, Items
from runtime.logs import get_logger, place_of
from runtime.loops import Loop, is_unavailable
from runtime.notifications import Notifier
from runtime.sealing import Sealer
from runtime.tasks import cancel
from runtime.webhook_sending import REQUEST_SECONDS, Sender
from runtime.webhooks import Attempt, DeliveryState, Verdict, after_attempt, signed_headers

MAX_BATCH = 64
POLL_SECONDS = 1.0
# Longer than a request and the writing may take.
LEASE = timedelta(seconds=45)
assert LEASE.total_seconds() > 2 * REQUEST_SECONDS

log = get_logger(__name__)
_uniform = random.SystemRandom().random


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed delivery with what is sent."""

    claimed: ClaimedDelivery
    message_id: str
    record_time: datetime
    body: bytes


class DeliveryWorker:
    """Sends what is due, as many at once as there is room for."""

    def __init__(
        self,
        engine: AsyncEngine,
        feeds: Feeds,
        sender: Sender,
        sealer: Sealer,
        clock: Clock,
        delivery_notifier: Notifier,
        *,
        max_under_way: int = LIMITS.deliveries_under_way,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._feeds = feeds
        self._sender = sender
        self._sealer = sealer
        self._clock = clock
        self._delivery_notifier = delivery_notifier
        self._max_under_way = max_under_way
        self._uniform = uniform
        self._items = Items("webhook deliveries")
        self._endpoints = Items("webhook endpoints to send to")
        self._running: set[asyncio.Task[None]] = set()

    def loop(self) -> Loop:
        """Sends; requests under way when it is stopped are let finish by `stop`."""
        return Loop(
            "webhook sending",
            self.round,
            poll_seconds=POLL_SECONDS,
            notifier=self._delivery_notifier,
        )

    async def round(self) -> bool:
        """Claims what is due and starts it; True if there may be more at once."""
        room = self._max_under_way - len(self._running)
        if room <= 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._clock.now()
        limit = min(room, MAX_BATCH)
        async with self._engine.begin() as connection:
            claimed = await deliveries.claim(connection, now, now + LEASE, limit)
            outgoing = await self._read(connection, claimed, now)
        for each in outgoing:
            task = asyncio.create_task(self._deliver(each))
            self._running.add(task)
            task.add_done_callback(partial(self._done, each.claimed.endpoint_id))
        return len(claimed) == limit

    async def _read(
        self, connection: AsyncConnection, claimed: Sequence[ClaimedDelivery], now: datetime
    ) -> list[Outgoing]:
        """What is sent. A delivery whose event cannot be read becomes a dead letter."""
        rows = {
            name: await feed.rows(connection, [one.sequence for one in claimed if one.feed == name])
            for name, feed in self._feeds.items()
        }

        def read(delivery: ClaimedDelivery) -> Outgoing:
            feed = Feed(delivery.feed)
            message = self._feeds[feed].message(rows[feed][delivery.sequence])
            message_id = webhook_id(feed, message.epoch, message.sequence)
            return Outgoing(delivery, message_id, message.record_time, message.body)

        async def set_aside(dead: Sequence[DeadLetter]) -> None:
            numbers = [int(letter.key) for letter in dead]
            await deliveries.give_up_unreadable(connection, numbers, now)
            telemetry.DELIVERIES.labels("dead").inc(len(numbers))

        return await self._items.claimed(
            claimed, read, lambda delivery: str(delivery.delivery_number), set_aside
        )

    async def stop(self, seconds: float) -> None:
        """Lets requests finish, for so long. The rest is left to its lease, and sent again."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            await cancel(*late)

    def _done(self, endpoint_id: str, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            # Its lease ends, and another attempt begins.
            if is_unavailable(error):
                log.warning("delivery_left_to_its_lease", **place_of(error))
            else:
                self._endpoints.unhandled(endpoint_id, error)
        self._delivery_notifier.notify()

    async def _deliver(self, outgoing: Outgoing) -> None:
        endpoint_id = outgoing.claimed.endpoint_id
        async with self._engine.connect() as connection:
            endpoint = await store.get_endpoint(connection, endpoint_id)
            rows = await store.active_secrets(connection, [endpoint_id], self._clock.now())
        if endpoint is None or endpoint.state is not EndpointState.ENABLED:
            return
        secrets = [self._sealer.open(endpoint.id, row.sealed).decode() for row in rows]
        headers = signed_headers(outgoing.message_id, self._clock.now(), outgoing.body, secrets)
        with telemetry.REQUEST_SECONDS.time():
            attempt = await self._sender.post(endpoint.url, outgoing.body, headers)
        telemetry.ATTEMPTS.labels(attempt.failure or "taken").inc()
        await self._finish(outgoing, attempt)

    async def _finish(self, outgoing: Outgoing, attempt: Attempt) -> None:
        claimed = outgoing.claimed
        now = self._clock.now()
        verdict = after_attempt(claimed.attempts + 1, attempt, self._uniform)
        async with self._engine.begin() as connection:
            # The endpoint before its deliveries, as everybody does, or two would wait for each
            # other for ever.
            before = await store.get_endpoint(connection, claimed.endpoint_id, lock=True)
            kept = await deliveries.finish_attempt(connection, claimed, attempt, verdict, now)
            after = endpoint_after(before, attempt, now) if kept and before is not None else None
            if after is not None and after != before:
                await store.save_endpoint(connection, after)
        if not kept:
            telemetry.DELIVERIES.labels("lease_lost").inc()
            log.warning("delivery_lease_lost", delivery=claimed.delivery_number)
            return
        _tell(outgoing, verdict, now)
        if before is not None and after is not None:
            _tell_of_endpoint(before, after)


def _tell(outgoing: Outgoing, verdict: Verdict, now: datetime) -> None:
    claimed = outgoing.claimed
    if verdict.state is DeliveryState.PENDING:
        return
    telemetry.DELIVERIES.labels(verdict.state.lower()).inc()
    if verdict.state is DeliveryState.DELIVERED:
        telemetry.LAG_SECONDS.observe(max(0.0, (now - outgoing.record_time).total_seconds()))
        return
    log.error(
        "webhook_delivery_dead",
        endpoint_id=claimed.endpoint_id,
        delivery=claimed.delivery_number,
        sequence=claimed.sequence,
        attempts=claimed.attempts + 1,
    )


def _tell_of_endpoint(before: Endpoint, after: Endpoint) -> None:
    if before.state is EndpointState.ENABLED and after.state is EndpointState.DISABLED:
        telemetry.DISABLED.labels(after.disable_cause).inc()
        log.error("webhook_endpoint_disabled", endpoint_id=after.id, cause=after.disable_cause)
