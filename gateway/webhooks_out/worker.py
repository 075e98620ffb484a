"""The sending worker: claims deliveries that are due, sends them, writes down what came of it.

Any number of workers may run. A delivery is sent at least once: a process that is killed between
the answer and the commit leaves it to be sent again, with the same id, by which clients know it.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.store.events import StoredEvent
from gateway.webhooks_out import deliveries, store, telemetry
from gateway.webhooks_out.deliveries import ClaimedDelivery
from gateway.webhooks_out.domain import (
    Attempt,
    DeliveryState,
    Endpoint,
    EndpointState,
    Verdict,
    after_attempt,
    endpoint_after,
    signed_headers,
    webhook_id,
)
from gateway.webhooks_out.messages import body_of
from gateway.webhooks_out.sealing import Sealer
from gateway.webhooks_out.sending import REQUEST_SECONDS, Sender
from runtime.clock import Clock
from runtime.logs import get_logger, place_of
from runtime.notifications import Notifier
from runtime.tasks import cancel

# Requests of one process that may be under way. More endpoints than MAX_ENDPOINTS there are not,
# and one that fails gets one at a time, so those that work always find room.
MAX_IN_FLIGHT = 256
MAX_BATCH = 64
# Longer than a request and the writing may take.
LEASE = timedelta(seconds=45)
assert LEASE.total_seconds() > 2 * REQUEST_SECONDS

log = get_logger(__name__)
_uniform = random.SystemRandom().random


class DeliveryWorker:
    """Sends what is due, as many at once as there is room for."""

    def __init__(
        self,
        engine: AsyncEngine,
        sender: Sender,
        sealer: Sealer,
        clock: Clock,
        delivery_notifier: Notifier,
        *,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._sender = sender
        self._sealer = sealer
        self._clock = clock
        self._delivery_notifier = delivery_notifier
        self._uniform = uniform
        self._running: set[asyncio.Task[None]] = set()

    async def round(self) -> bool:
        """Claims what is due and starts it; True if there may be more at once."""
        room = MAX_IN_FLIGHT - len(self._running)
        if room <= 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._clock.now()
        limit = min(room, MAX_BATCH)
        async with self._engine.begin() as connection:
            claimed = await deliveries.claim(connection, now, now + LEASE, limit)
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery))
            self._running.add(task)
            task.add_done_callback(self._done)
        return len(claimed) == limit

    async def stop(self, seconds: float) -> None:
        """Lets requests finish, for so long. The rest is left to its lease, and sent again."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            await cancel(*late)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease ends, and another attempt begins.
            log.error("delivery_failed_unexpectedly", **place_of(error))
        self._delivery_notifier.notify()

    async def _deliver(self, claimed: ClaimedDelivery) -> None:
        async with self._engine.connect() as connection:
            endpoint = await store.get_endpoint(connection, claimed.endpoint_id)
            [event] = await deliveries.events_of(connection, [claimed.sequence])
            rows = await store.active_secrets(connection, [claimed.endpoint_id], self._clock.now())
        if endpoint is None or endpoint.state is not EndpointState.ENABLED:
            return
        secrets = [self._sealer.open(endpoint.id, row.sealed) for row in rows]
        body = body_of(event)
        headers = signed_headers(webhook_id(event.sequence), self._clock.now(), body, secrets)
        with telemetry.REQUEST_SECONDS.time():
            attempt = await self._sender.post(endpoint.url, body, headers)
        telemetry.ATTEMPTS.labels(attempt.failure or "taken").inc()
        await self._settle(claimed, event, attempt)

    async def _settle(self, claimed: ClaimedDelivery, event: StoredEvent, attempt: Attempt) -> None:
        now = self._clock.now()
        verdict = after_attempt(claimed.attempts + 1, attempt, self._uniform)
        async with self._engine.begin() as connection:
            # The endpoint before its deliveries, as everybody does, or two would wait for each
            # other for ever.
            before = await store.get_endpoint(connection, claimed.endpoint_id, lock=True)
            kept = await deliveries.settle(connection, claimed, attempt, verdict, now)
            after = endpoint_after(before, attempt, now) if kept and before is not None else None
            if after is not None and after != before:
                await store.save_endpoint(connection, after)
        if not kept:
            telemetry.DELIVERIES.labels("lease_lost").inc()
            log.warning("delivery_lease_lost", delivery=claimed.delivery_number)
            return
        _tell(claimed, event, verdict, now)
        if before is not None and after is not None:
            _tell_of_endpoint(before, after)


def _tell(claimed: ClaimedDelivery, event: StoredEvent, verdict: Verdict, now: datetime) -> None:
    if verdict.state is DeliveryState.PENDING:
        return
    telemetry.DELIVERIES.labels(verdict.state.lower()).inc()
    if verdict.state is DeliveryState.DELIVERED:
        telemetry.LAG_SECONDS.observe(max(0.0, (now - event.record_time).total_seconds()))
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
