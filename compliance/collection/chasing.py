"""Looks at accounts whose merchants may be due a notice, and keeps what they are told.

One process looks at a time: it holds a row for as long as a round takes, and what it tells is
written in the same transaction, so that each notice is given once, whoever looks and restarts.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts.store import latest_snapshot
from compliance.collection import store
from compliance.collection.rules import (
    LOOK_AGAIN,
    NoticeKind,
    next_look,
    notices,
    takes_the_place_of,
    wish_of,
)
from compliance.forecast.watch_store import merchant_of
from runtime.clock import Clock
from runtime.items import Items
from runtime.loops import Loop
from runtime.notifier import Notifier

ROUND_SIZE = 100

NOTICES = Counter(
    "compliance_notices_total", "Notices of what Stripe wants of merchants, by kind.", ["kind"]
)
DEAD = Gauge("compliance_notice_mails_dead", "E-mails of notices that could not be delivered.")
OLDEST = Gauge(
    "compliance_notice_mail_oldest_timestamp_seconds",
    "Unix time of the oldest notice whose e-mail is still to be sent; 0 if there is none.",
)

ReviewTime = Callable[[AsyncConnection], Awaitable[timedelta]]


class Chasing:
    """Keeps what merchants are told."""

    def __init__(
        self,
        engine: AsyncEngine,
        review_time: ReviewTime,
        clock: Clock,
        forecast: Notifier,
        *,
        by_mail: bool,
    ) -> None:
        """`forecast` notifies of forecasts, which come first; `told` of notices. `by_mail` says
        whether notices are sent, too."""
        self._engine = engine
        self._review_time = review_time
        self._clock = clock
        self._forecast = forecast
        self._by_mail = by_mail
        self._items = Items("accounts to give notice of")
        self.told = Notifier()
        for kind in NoticeKind:
            NOTICES.labels(kind.value)

    def loop(self, interval_seconds: float) -> Loop:
        """Looks at what has changed after the forecasts, and at what time has made due."""
        return Loop(
            "requirement notices",
            self.round,
            poll_seconds=interval_seconds,
            notifier=self._forecast,
        )

    async def round(self) -> bool:
        """Looks at some accounts; whether there may be more to do."""
        given: list[NoticeKind] = []
        async with self._engine.begin() as connection:
            more = await store.hold(connection) and await self._look(connection, given)
        for kind in given:
            NOTICES.labels(kind.value).inc()
        # Whoever looks, each process tells how things stand.
        async with self._engine.connect() as connection:
            dead = await store.dead_mails(connection)
            oldest = await store.oldest_pending(connection)
        DEAD.set(dead)
        OLDEST.set(oldest.timestamp() if oldest else 0)
        self.told.notify()
        return more

    async def _look(self, connection: AsyncConnection, given: list[NoticeKind]) -> bool:
        accounts = await store.accounts_due(connection, self._clock.now(), ROUND_SIZE)
        review_time = await self._review_time(connection) if accounts else timedelta(0)
        for due in accounts:
            told: list[NoticeKind] = []
            done = False
            with self._items.kept_apart(due.connected_account_id):
                async with connection.begin_nested():
                    await self._look_at(connection, due, review_time, told)
                done = True
            if done:
                given += told
            else:
                await store.look_next(connection, due, self._clock.now() + LOOK_AGAIN)
        return len(accounts) == ROUND_SIZE

    async def _look_at(
        self,
        connection: AsyncConnection,
        due: store.Due,
        review_time: timedelta,
        given: list[NoticeKind],
    ) -> None:
        now = self._clock.now()
        account_id = due.connected_account_id
        merchant_id, takes_part = await merchant_of(connection, account_id)
        snapshot = await latest_snapshot(connection, account_id)
        if snapshot is None or not merchant_id:
            await store.look_next(connection, due, None)
            return
        wish = wish_of(snapshot.content.requirements, await store.refusals(connection, account_id))
        history = await store.history(connection, account_id)
        told = notices(wish, history, review_time, now, takes_part=takes_part)
        for notice in told:
            sequence = await store.store_notice(connection, account_id, merchant_id, notice)
            await store.make_obsolete(connection, account_id, takes_the_place_of(notice.kind))
            if self._by_mail and notice.kind is not NoticeKind.ANSWERED:
                await store.store_mail(connection, sequence, account_id, now)
            given.append(notice.kind)
        when = next_look(wish, [*history, *told], review_time, now)
        await store.look_next(connection, due, when)
