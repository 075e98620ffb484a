"""Dispatching: turns changes of feeds into deliveries, endpoint by endpoint."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.limits import LIMITS, Limits
from gateway.webhooks_out import deliveries
from gateway.webhooks_out.feeds import Feeds, WebhookFeed
from gateway.webhooks_out.store import call_senders
from runtime.clock import Clock
from runtime.items import Items
from runtime.loops import Loop
from runtime.notifications import Notifier

MAX_STEPS_PER_ROUND = 20
POLL_SECONDS = 1.0
PURGE_SECONDS = 600.0


class Dispatcher:
    """Two at once do no harm: an endpoint's row is locked while its cursor moves."""

    def __init__(
        self,
        engine: AsyncEngine,
        feeds: Feeds,
        clock: Clock,
        delivery_notifier: Notifier,
        limits: Limits = LIMITS,
    ) -> None:
        self._feeds = feeds
        self._limits = limits
        self._engine = engine
        self._clock = clock
        self._delivery_notifier = delivery_notifier
        self._items = Items("webhook endpoints to dispatch to")

    def loops(self, event_notifier: Notifier) -> tuple[Loop, Loop]:
        """Making deliveries of new changes, of which `event_notifier` tells, and deleting old ones:
        one worker does each for all."""
        return (
            Loop(
                "webhook dispatch",
                self.round,
                poll_seconds=POLL_SECONDS,
                notifier=event_notifier,
            ),
            Loop("webhook purge", self.purge_round, poll_seconds=PURGE_SECONDS),
        )

    async def round(self) -> bool:
        """Brings each endpoint's deliveries up to its feed; True if there may be more."""
        more = False
        for feed in self._feeds.values():
            async with self._engine.connect() as connection:
                behind = await deliveries.behind(connection, feed)
            for endpoint_id in behind:
                with self._items.kept_apart(endpoint_id):
                    more = await self._dispatch(feed, endpoint_id) or more
        return more

    async def _dispatch(self, feed: WebhookFeed, endpoint_id: str) -> bool:
        for _ in range(MAX_STEPS_PER_ROUND):
            async with self._engine.begin() as connection:
                more = await deliveries.dispatch(
                    connection, feed, endpoint_id, self._clock.now(), self._limits
                )
                await call_senders(connection)
            self._delivery_notifier.notify()
            if not more:
                return False
        return True

    async def purge_round(self) -> bool:
        """Deletes what was delivered long ago; True if there may be more at once."""
        async with self._engine.begin() as connection:
            purged = await deliveries.purge(connection, self._clock.now())
        return purged == deliveries.PURGE_BATCH
