"""Finds what is to be told of breaks: each event once, and each break that becomes overdue."""

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.alerting import store
from reconciliation.alerting.alert import (
    MAX_DIGEST_BREAKS,
    Alert,
    AlertRules,
    BreakNews,
    Channel,
    digest,
    urgent_mail,
    webhook_of,
)
from reconciliation.alerting.store import Look
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.notifier import Notifier

POLL_SECONDS = 5.0
# Events, and breaks that become overdue, of one look.
BATCH = 500
_EVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_NEWS = {"OPENED": BreakNews.OPENED, "ENDED": BreakNews.ENDED}


class AlertTeller:
    """Has told what has happened since the last look."""

    def __init__(
        self,
        engine: AsyncEngine,
        rules: AlertRules,
        channels: Collection[Channel],
        clock: Clock,
        told: Notifier,
    ) -> None:
        """`told` is notified of what is to be sent."""
        self._engine = engine
        self._rules = rules
        self._channels = channels
        self._clock = clock
        self._told = told

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("break alerts", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once; whether there may be more."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            last = await store.last_look(connection, now)
            news = await store.news_after(connection, last.sequence, BATCH)
            alerts: list[Alert] = []
            for _, event, when, told in news:
                if (what := _NEWS.get(event)) is None:
                    continue
                alerts.append(webhook_of(what, told, when))
                # What is found late may be overdue when it opens.
                if what is BreakNews.OPENED and told.overdue <= last.overdue_until:
                    alerts.append(webhook_of(BreakNews.OVERDUE, told, when))
                if what is BreakNews.OPENED and self._rules.is_urgent(told.amounts):
                    alerts.append(urgent_mail(told))
            late = await store.open_breaks(connection, now, last.overdue_until, now, BATCH)
            alerts += [webhook_of(BreakNews.OVERDUE, told, told.overdue) for told in late]
            alerts += await self._digest(connection, now)
            wanted = [alert for alert in alerts if alert.channel in self._channels]
            await store.add(connection, wanted, now)
            look = Look(
                news[-1][0] if news else last.sequence,
                late[-1].overdue if late else last.overdue_until,
            )
            if look != last:
                await store.add_look(connection, look, now)
        if wanted:
            self._told.notify()
        return len(news) == BATCH or len(late) >= BATCH

    async def _digest(self, connection: AsyncConnection, now: datetime) -> list[Alert]:
        """Today's digest, if it is time and a break is open; made again it is left out."""
        if Channel.MAIL not in self._channels or self._rules.digest_time(now) is None:
            return []
        count = await store.count_open(connection, now)
        if not count:
            return []
        oldest = await store.open_breaks(connection, now, *_EVER, MAX_DIGEST_BREAKS)
        return [digest(oldest, count, now)]
