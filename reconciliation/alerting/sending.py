"""Sends what is told of breaks: claimed one at a time, tried again, set aside if it never goes.

It is sent at least once: a process that is killed between an answer and its commit leaves it to be
sent again, with the same id.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.alerting import store
from reconciliation.alerting.alert import Channel, mail_of
from reconciliation.alerting.store import Claimed
from runtime.backoff import Backoff
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.notifier import Notifier
from runtime.smtp import ANSWER_SECONDS, MailServer, MailServerError, MessageRefusedError
from runtime.webhook_sending import REQUEST_SECONDS, Sender
from runtime.webhooks import Attempt, DeliveryState, after_attempt, signed_headers

POLL_SECONDS = 30.0
# Longer than a conversation of a dozen answers may take, or a request.
LEASE = timedelta(minutes=3)
assert LEASE.total_seconds() > max(12 * ANSWER_SECONDS, REQUEST_SECONDS)
# A server that is away is asked again by and by; that uses up no attempt of a message.
SERVER_BACKOFF = Backoff(timedelta(seconds=1), timedelta(minutes=1))

ALERTS = Counter(
    "reconciliation_alerts_total",
    "Attempts to tell of breaks by channel and outcome: sent, refused for now, dead.",
    ["channel", "outcome"],
)
for _channel in Channel:
    for _outcome in ("sent", "refused", "dead"):
        ALERTS.labels(_channel.value, _outcome)

log = get_logger(__name__)
_uniform = random.SystemRandom().random


class Way(Protocol):
    """How alerts of a channel are sent."""

    @property
    def channel(self) -> Channel:
        """The channel."""
        ...

    async def send(self, claimed: Claimed, clock: Clock) -> Attempt:
        """What came of one attempt. Raises `OSError` where it is nobody's fault."""
        ...


@dataclass(frozen=True)
class WebhookWay:
    """To one endpoint of the operator's."""

    sender: Sender
    url: str
    secrets: Sequence[str]
    channel: Channel = Channel.WEBHOOK

    async def send(self, claimed: Claimed, clock: Clock) -> Attempt:
        """Posts it, signed."""
        body = claimed.alert.body.encode()
        headers = signed_headers(claimed.alert.about, clock.now(), body, self.secrets)
        return await self.sender.post(self.url, body, headers)


@dataclass(frozen=True)
class MailWay:
    """To one address of the operator's."""

    server: MailServer
    from_address: str
    to_address: str
    channel: Channel = Channel.MAIL

    async def send(self, claimed: Claimed, _clock: Clock) -> Attempt:
        """Hands it to the mail server. Raises `MailServerError`."""
        message = mail_of(claimed.alert, self.from_address, self.to_address, claimed.record_time)
        try:
            await self.server.send(message)
        except MessageRefusedError as refused:
            return Attempt(failure=refused.failure, is_final=refused.is_final)
        return Attempt()


class AlertSender:
    """Sends what is due by one way."""

    def __init__(
        self,
        engine: AsyncEngine,
        way: Way,
        clock: Clock,
        told: Notifier,
        *,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._way = way
        self._clock = clock
        self._told = told
        self._uniform = uniform

    def loop(self) -> Loop:
        """Sends what is told, at once, and what is tried again."""
        return Loop(
            f"{self._way.channel.lower()} alerts",
            self.round,
            poll_seconds=POLL_SECONDS,
            notifier=self._told,
            backoff=SERVER_BACKOFF,
            expected=(MailServerError,),
        )

    async def round(self) -> bool:
        """Sends one; whether there was one. Raises `MailServerError`."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            claimed = await store.claim(connection, self._way.channel, now, now + LEASE)
        if claimed is None:
            return False
        try:
            attempt = await self._way.send(claimed, self._clock)
        except OSError:
            async with self._engine.begin() as connection:
                await store.finish(
                    connection, claimed, store.PENDING, now, attempts=claimed.attempts - 1
                )
            raise
        await self._finish(claimed, attempt)
        return True

    async def _finish(self, claimed: Claimed, attempt: Attempt) -> None:
        verdict = after_attempt(claimed.attempts, attempt, self._uniform)
        state, outcome = store.PENDING, "refused"
        if verdict.state is DeliveryState.DELIVERED:
            state, outcome = store.SENT, "sent"
        elif verdict.state is DeliveryState.DEAD:
            state, outcome = store.DEAD, "dead"
            log.error(
                "alert_dead",
                alert=claimed.alert_number,
                channel=claimed.alert.channel.value,
                attempts=claimed.attempts,
                failure=attempt.failure,
            )
        async with self._engine.begin() as connection:
            await store.finish(
                connection,
                claimed,
                state,
                self._clock.now() + (verdict.wait or timedelta(0)),
                failure=attempt.failure,
            )
        ALERTS.labels(claimed.alert.channel.value, outcome).inc()
