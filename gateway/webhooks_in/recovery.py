"""Closing gaps: fetches the events that no webhook has brought, or that the inbox has lost.

What Stripe could not deliver it lists as such. What it has delivered, and a failover has lost, it
does not: after each start, and whenever the database is another, all that it has told of late is
compared with the inbox.

Stripe lists the events of one account. Those of connected accounts, of which a platform may have
thousands, are asked for in rounds, some in each.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import OutcomeClass
from gateway.webhooks_in import telemetry
from gateway.webhooks_in.event import NotAnEventError, ReceivedEvent, read_event
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop

# Stripe keeps events for 30 days: https://docs.stripe.com/api/events
EVENTS_KEPT = timedelta(days=30)
INTERVAL_SECONDS = 600.0
PAGE_SIZE = 100
UNDELIVERED = {"delivery_success": False}
# Of one round of one corridor, in each direction.
MAX_PAGES = 1000
# What is older than this is listed once by one process; what is younger may still be in delivery.
SETTLED = timedelta(hours=1)
# A failover loses the last commits, which are of events that were made so much earlier at most;
# what is delivered later is delivered for the second time, after an outage.
LOST_WITHIN = timedelta(minutes=10)
# Connected accounts of a corridor that are asked for in a round.
ACCOUNTS_PER_ROUND = 100

# The next connected accounts of a corridor after a number, so many at most, with their numbers.
ConnectedAccounts = Callable[[str, int, int], Awaitable[list[tuple[int, str]]]]

log = get_logger(__name__)


def received_from(
    page: Sequence[Mapping[str, Any]], corridor: str, account: str | None, now: datetime
) -> list[ReceivedEvent]:
    """The events of a page that Stripe listed, oldest first, as if they had just come in."""
    received: list[ReceivedEvent] = []
    for listed in reversed(page):
        # An account that asks for its own events need no account named.
        values = dict(listed) if account is None else {**listed, "account": account}
        try:
            received.append(ReceivedEvent(read_event(json.dumps(values), corridor), now))
        except NotAnEventError as error:
            log.warning("webhook_recovery_skipped", corridor=corridor, reason=str(error))
    return received


class EventRecovery:
    """Lists undelivered events of every corridor at start and then on a schedule, and all of late
    whenever the database may have lost some."""

    def __init__(
        self,
        stripe_client: StripeClient,
        inbox: PostgresInbox,
        clock: Clock,
        connected: ConnectedAccounts,
        *,
        page_size: int = PAGE_SIZE,
        max_pages: int = MAX_PAGES,
        accounts_per_round: int = ACCOUNTS_PER_ROUND,
    ) -> None:
        self._page_size = page_size
        self._max_pages = max_pages
        self._accounts_per_round = accounts_per_round
        self._stripe = stripe_client
        self._inbox = inbox
        self._clock = clock
        self._connected = connected
        self._items = Items("corridors to recover")
        # By corridor and connected account, which is None for the corridor's own.
        self._positions: dict[tuple[str, str | None], str] = {}
        self._last_account: dict[str, int] = {}
        # The database as it was last seen, and since when it may lack what Stripe has delivered
        # (one that never had an event has lost none); those that were compared with it.
        self._incarnation = ""
        self._lacks_since: datetime | None = None
        self._compared: set[tuple[str, str | None]] = set()

    def loop(self) -> Loop:
        """Recovers what is missing, again and again."""
        return Loop("event recovery", self._round, poll_seconds=INTERVAL_SECONDS)

    async def _round(self) -> bool:
        await self.look_at_database()
        for corridor in self._stripe.corridors:
            with self._items.kept_apart(corridor):
                await self.recover(corridor)
                await self.recover_connected(corridor)
        return False

    async def recover_connected(self, corridor: str) -> int:
        """The same for the next connected accounts of a corridor."""
        after = self._last_account.get(corridor, 0)
        accounts = await self._connected(corridor, after, self._accounts_per_round)
        stored = 0
        for number, account in accounts:
            stored += await self.recover(corridor, account)
            self._last_account[corridor] = number
        if len(accounts) < self._accounts_per_round:
            self._last_account[corridor] = 0
        return stored

    async def look_at_database(self) -> None:
        """Begins to compare anew if the database is another than at the last look."""
        incarnation, newest_time = await self._inbox.incarnation()
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self._lacks_since = newest_time - LOST_WITHIN if newest_time is not None else None
            self._compared.clear()

    async def recover(self, corridor: str, account: str | None = None) -> int:
        """Stores what is missing of one account, oldest first; the number of events.

        One page is in memory at a time. If Stripe fails on the way, the next round goes on where
        this one stopped.
        """
        stored = 0
        if self._lacks_since is not None and (corridor, account) not in self._compared:
            stored += await self._compare(corridor, account, self._lacks_since)
        stored += await self._undelivered(corridor, account)
        if stored:
            telemetry.recovered.labels(corridor).inc(stored)
            log.warning("webhooks_recovered", corridor=corridor, events=stored)
        return stored

    async def _compare(self, corridor: str, account: str | None, lacks_since: datetime) -> int:
        """Stores what the database may have lost; again from the beginning if Stripe fails."""
        since = {"created": {"gte": int(lacks_since.timestamp())}}
        oldest = await self._oldest_page(corridor, account, since)
        if oldest is None:
            return 0
        stored = 0
        page: list[dict[str, Any]] | None = oldest
        while page:
            stored += (await self._store(corridor, account, page)).count(True)
            page = await self._page(corridor, account, {**since, "ending_before": page[0]["id"]})
        if page is not None:
            self._compared.add((corridor, account))
        return stored

    async def _undelivered(self, corridor: str, account: str | None) -> int:
        stored = 0
        after = self._positions.get((corridor, account))
        if after is None:
            kept_since = int((self._clock.now() - EVENTS_KEPT).timestamp())
            kept = {**UNDELIVERED, "created": {"gte": kept_since}}
            oldest = await self._oldest_page(corridor, account, kept)
            if not oldest:
                return 0
            stored += await self._store_undelivered(corridor, account, oldest)
            after = str(oldest[0]["id"])
        for _ in range(self._max_pages):
            page = await self._page(corridor, account, {**UNDELIVERED, "ending_before": after})
            if not page:
                break
            stored += await self._store_undelivered(corridor, account, page)
            after = str(page[0]["id"])
        else:
            log.error("webhook_recovery_goes_on_later", corridor=corridor, pages=self._max_pages)
        return stored

    async def _oldest_page(
        self, corridor: str, account: str | None, which: Mapping[str, Any]
    ) -> list[dict[str, Any]] | None:
        """Stripe lists the newest first, so the way to the oldest leads past all; None if Stripe
        does not say."""
        page = oldest = await self._page(corridor, account, which)
        for _ in range(self._max_pages):
            if page is None or len(page) < self._page_size:
                break
            page = await self._page(corridor, account, {**which, "starting_after": page[-1]["id"]})
            oldest = page or oldest
        else:
            log.error("webhook_recovery_truncated", corridor=corridor, pages=self._max_pages)
        return None if page is None else oldest

    async def _page(
        self, corridor: str, account: str | None, which: Mapping[str, Any]
    ) -> list[dict[str, Any]] | None:
        """A page of events, newest first; None if Stripe does not say."""
        outcome = await self._stripe.records.list_events(
            corridor, {"limit": self._page_size, **which}, connected_account=account
        )
        if not outcome.succeeded or outcome.object is None:
            log.warning("webhook_recovery_stopped", corridor=corridor)
            if outcome.outcome_class is OutcomeClass.REJECTED:
                # Perhaps Stripe has forgotten the event that we had come to: begin again.
                self._positions.pop((corridor, account), None)
            return None
        page: list[dict[str, Any]] = outcome.object["data"]
        return page

    async def _store(
        self, corridor: str, account: str | None, page: list[dict[str, Any]]
    ) -> list[bool]:
        received = received_from(page, corridor, account, self._clock.now())
        return await self._inbox.store_all(received)

    async def _store_undelivered(
        self, corridor: str, account: str | None, page: list[dict[str, Any]]
    ) -> int:
        stored = await self._store(corridor, account, page)
        settled = (self._clock.now() - SETTLED).timestamp()
        for event in reversed(page):
            if event["created"] <= settled:
                self._positions[corridor, account] = str(event["id"])
        return stored.count(True)
