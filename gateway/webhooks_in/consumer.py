"""Processing: takes events out of the inbox, in order per subject, until each is dealt with."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gateway.stripe_client.call import background
from gateway.webhooks_in import telemetry
from gateway.webhooks_in.event import (
    ClaimedEvent,
    OutsideUnavailable,
    PoisonEventError,
    RetryEventLater,
)
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.router import EventRouter
from runtime.backoff import Backoff
from runtime.clock import Clock
from runtime.deadline import within
from runtime.logs import get_logger, place_of
from runtime.loops import Loop
from runtime.notifier import Notifier
from runtime.telemetry import tracer

# The share of a handler's time that Stripe may take: an answer that does not come must end as an
# outage of Stripe, not as a handler that was cut off.
STRIPE_SHARE = 0.8
RETRY = Backoff(timedelta(milliseconds=500), timedelta(minutes=10))

log = get_logger(__name__)
_uniform = random.SystemRandom().random


@dataclass(frozen=True)
class ConsumerPolicy:
    """Bounds of processing."""

    batch: int = 16
    """Events that are dealt with at once, each of another subject."""
    handler_seconds: float = 15.0
    lease: timedelta = timedelta(seconds=20)
    """Longer than a handler may take, so that a healthy worker never loses its lease."""
    max_attempts: int = 12
    backoff: Backoff = RETRY
    """The wait after a failed attempt."""
    unavailable_delay: timedelta = timedelta(seconds=5)
    """The wait, at least, while Stripe cannot be asked; such attempts are not counted."""
    poll_seconds: float = 0.5
    """How long an idle worker waits without a notification."""

    def __post_init__(self) -> None:
        if self.lease.total_seconds() <= self.handler_seconds:
            raise ValueError("a lease must outlast the handler")


class WebhookConsumer:
    """A worker. Any number of them, in any number of processes, share one inbox."""

    def __init__(
        self,
        inbox: PostgresInbox,
        router: EventRouter,
        clock: Clock,
        notifier: Notifier,
        *,
        policy: ConsumerPolicy | None = None,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        """`notifier` tells an idle worker that there is something to do."""
        self._inbox = inbox
        self._router = router
        self._clock = clock
        self._notifier = notifier
        self._policy = policy or ConsumerPolicy()
        self._uniform = uniform
        self._tracer = tracer(__name__)

    def loop(self) -> Loop:
        """Works. What is in hand when it is stopped is given back, or comes back when its lease
        ends."""
        return Loop(
            "webhook processing",
            self._round,
            poll_seconds=self._policy.poll_seconds,
            notifier=self._notifier,
        )

    async def _round(self) -> bool:
        return await self.work_once() > 0

    async def work_once(self) -> int:
        """Claims what is due, at most one batch, and deals with it; the number of events."""
        claims = await self._inbox.claim(self._policy.batch, self._policy.lease)
        # A claim whose end cannot be written down does not stop the others.
        ends = await asyncio.gather(*map(self._deal_with, claims), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return len(claims)

    async def _deal_with(self, claim: ClaimedEvent) -> None:
        event = claim.event
        handler = self._router.handler_of(event.event_type)
        if handler is None:
            await self._count(claim, "ignored", await self._inbox.finish(claim))
            return
        if claim.attempt > self._policy.max_attempts:
            # The attempts before ended in crashes: it may be this event that kills workers.
            await self._give_up(claim, "TOO_MANY_CRASHES")
            return
        with self._tracer.start_as_current_span(f"webhook {event.event_type}") as span:
            span.set_attribute("gateway.corridor", event.corridor)
            span.set_attribute("gateway.event_id", event.event_id)
            span.set_attribute("gateway.attempt", claim.attempt)
            try:
                with within(self._policy.handler_seconds * STRIPE_SHARE), background():
                    async with asyncio.timeout(self._policy.handler_seconds):
                        await handler(event)
            except RetryEventLater as later:
                await self._try_later(claim, later.reason, later.delay, too_early=True)
            except OutsideUnavailable as outage:
                await self._wait_out(claim, outage)
            except asyncio.CancelledError:
                # We are told to stop: others need not wait for the lease to end.
                await self._inbox.retry(claim, "STOPPED", self._clock.now())
                raise
            except PoisonEventError as poison:
                await self._give_up(claim, poison.reason)
            except Exception as error:  # noqa: BLE001 (it is tried again, then set aside)
                log.error("webhook_handler_failed", event_id=event.event_id, **place_of(error))
                await self._try_later(claim, type(error).__name__, None, too_early=False)
            else:
                await self._count(claim, "done", await self._inbox.finish(claim))

    async def _try_later(
        self, claim: ClaimedEvent, reason: str, delay: timedelta | None, *, too_early: bool
    ) -> None:
        if claim.attempt >= self._policy.max_attempts:
            await self._give_up(claim, reason)
            return
        wait = delay
        if wait is None:
            wait = self._policy.backoff.pause(claim.attempt, self._uniform())
        # What an early event waits for may be behind it.
        put_back = self._inbox.postpone if too_early else self._inbox.retry
        kept = await put_back(claim, reason, self._clock.now() + wait)
        await self._count(claim, "retry", kept)

    async def _wait_out(self, claim: ClaimedEvent, outage: OutsideUnavailable) -> None:
        """An outage of hours must not use up the attempts of what it holds up."""
        least = self._policy.unavailable_delay * (0.5 + self._uniform() / 2)
        wait = max(least, outage.delay or timedelta(0))
        kept = await self._inbox.wait_out(claim, outage.reason, self._clock.now() + wait)
        await self._count(claim, "unavailable", kept)

    async def _give_up(self, claim: ClaimedEvent, reason: str) -> None:
        kept = await self._inbox.dead_letter(claim, reason)
        if kept:
            telemetry.dead_letters.labels(claim.event.corridor).inc()
            log.error(
                "webhook_dead_letter",
                corridor=claim.event.corridor,
                event_id=claim.event.event_id,
                event_type=claim.event.event_type,
                attempts=claim.attempt,
                reason=reason,
            )
        await self._count(claim, "dead", kept)

    async def _count(self, claim: ClaimedEvent, result: str, kept: bool) -> None:
        event = claim.event
        if not kept:
            # Another worker took over while we were slow; what it writes counts.
            log.warning("webhook_lease_lost", event_id=event.event_id, attempt=claim.attempt)
            result = "lease_lost"
        known = self._router.handler_of(event.event_type) is not None
        telemetry.processed.labels(event.event_type if known else "other", result).inc()
        if result == "done":
            lag = (self._clock.now() - event.created_time).total_seconds()
            telemetry.lag_seconds.labels(event.corridor).set(lag)
