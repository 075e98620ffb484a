"""Sends the e-mails of notices: claimed one at a time, tried again, set aside if they never go.

A message is sent at least once: a process that is killed between the server's answer and the
commit leaves it to be sent again, with the same Message-ID.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.collection import store
from compliance.collection.mail import compose
from runtime.backoff import Backoff
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.notifier import Notifier
from runtime.smtp import (
    ANSWER_SECONDS,
    MailServer,
    MailServerError,
    MessageRefusedError,
)

# Longer than a conversation of a dozen answers may take.
LEASE = timedelta(minutes=3)
assert LEASE.total_seconds() > 12 * ANSWER_SECONDS
# A message that the server takes later is tried so often, over some hours.
MAX_ATTEMPTS = 10
MESSAGE_BACKOFF = Backoff(timedelta(minutes=1), timedelta(hours=2))
# A server that is away is asked again by and by; that uses up no attempt of a message.
SERVER_BACKOFF = Backoff(timedelta(seconds=1), timedelta(minutes=1))
UNREADABLE = "UNREADABLE"

MAILS = Counter(
    "compliance_notice_mails_total",
    "Attempts to send e-mails of notices by outcome: sent, refused for now, dead.",
    ["outcome"],
)

log = get_logger(__name__)
_uniform = random.SystemRandom().random


@dataclass(frozen=True)
class Letterhead:
    """What every e-mail has."""

    sender: str
    operator_address: str
    page_url: str


class NoticeMailer:
    """Sends what is due."""

    def __init__(
        self,
        engine: AsyncEngine,
        server: MailServer,
        letterhead: Letterhead,
        clock: Clock,
        told: Notifier,
        *,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        self._engine = engine
        self._server = server
        self._letterhead = letterhead
        self._clock = clock
        self._told = told
        self._uniform = uniform
        self._items = Items("notice mails")
        for outcome in ("sent", "refused", "dead"):
            MAILS.labels(outcome)

    def loop(self, interval_seconds: float) -> Loop:
        """Sends what is told, at once, and what is tried again."""
        return Loop(
            "notice mails",
            self.round,
            poll_seconds=interval_seconds,
            notifier=self._told,
            backoff=SERVER_BACKOFF,
        )

    async def round(self) -> bool:
        """Sends one message; whether there was one. Raises `MailServerError`."""
        async with self._engine.begin() as connection:
            claimed = await store.claim_mail(connection, self._clock.now(), LEASE)
            if claimed is None:
                return False
            address = await store.address_of(connection, claimed.notice.merchant_id)
        sent = False
        with self._items.kept_apart(str(claimed.notice.sequence)):
            await self._send(claimed, address)
            sent = True
        if not sent:
            await self._give_up(claimed, UNREADABLE)
        return True

    async def _send(self, claimed: store.Claimed, address: str) -> None:
        head = self._letterhead
        message = compose(
            claimed.notice,
            merchant_address=address,
            operator_address=head.operator_address,
            sender=head.sender,
            page_url=head.page_url,
        )
        try:
            await self._server.send(message)
        except MailServerError:
            async with self._engine.begin() as connection:
                await store.finish_mail(
                    connection,
                    claimed,
                    attempt_count=claimed.attempt_count - 1,
                    next_attempt_time=self._clock.now(),
                )
            raise
        except MessageRefusedError as refused:
            if refused.is_final or claimed.attempt_count >= MAX_ATTEMPTS:
                await self._give_up(claimed, refused.failure)
                return
            pause = MESSAGE_BACKOFF.pause(claimed.attempt_count, self._uniform())
            async with self._engine.begin() as connection:
                await store.finish_mail(
                    connection,
                    claimed,
                    next_attempt_time=self._clock.now() + pause,
                    failure=refused.failure,
                )
            MAILS.labels("refused").inc()
            return
        async with self._engine.begin() as connection:
            await store.finish_mail(connection, claimed, state=store.SENT, failure="")
        MAILS.labels("sent").inc()

    async def _give_up(self, claimed: store.Claimed, failure: str) -> None:
        async with self._engine.begin() as connection:
            await store.finish_mail(connection, claimed, state=store.DEAD, failure=failure)
        MAILS.labels("dead").inc()
        log.error(
            "notice_mail_dead",
            sequence=claimed.notice.sequence,
            attempts=claimed.attempt_count,
            failure=failure,
        )
