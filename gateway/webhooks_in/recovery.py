"""Closing gaps: fetches the events that no webhook has brought, or that the inbox has lost.

What Stripe could not deliver it lists as such. What it has delivered, and a failover has lost, it
does not: after each start, and whenever the database is another, all that was made since the
account's marker (`walks`) is compared with the inbox. How late it was delivered does not matter:
Stripe tries for three days after an outage (https://docs.stripe.com/webhooks#automatic-retries).

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
from gateway.webhooks_in.walk_markers import Account, WalkMarkers
from gateway.webhooks_in.walk_proofs import WalkProofs
from gateway.webhooks_in.walks import (
    EVENTS_KEPT,
    Position,
    Walk,
    compared_since,
    is_last_comparison,
    walked_until,
)
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop

INTERVAL_SECONDS = 600.0
PAGE_SIZE = 100
UNDELIVERED = {"delivery_success": False}
# Of one round of one corridor, in each direction.
MAX_PAGES = 1000
# What is older than this is listed once by one process; what is younger may still be in delivery.
SETTLED = timedelta(hours=1)
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
    """Lists undelivered events of every corridor at start and then on a schedule, and all since an
    account's marker whenever the database may have lost some."""

    def __init__(
        self,
        stripe_client: StripeClient,
        inbox: PostgresInbox,
        markers: WalkMarkers,
        proofs: WalkProofs,
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
        self._markers = markers
        self._proofs = proofs
        self._clock = clock
        self._connected = connected
        self._items = Items("corridors to recover")
        self._last_account: dict[str, int] = {}
        # The database as it was last seen, when the newest event was made that it had then, and
        # the same of the look at which it was another, and when that was.
        self._incarnation = ""
        self._newest_time: datetime | None = None
        self._newest_kept: datetime | None = None
        self._seen_time = clock.now()
        # Of this incarnation: how far the lists of what is undelivered were read, and which
        # accounts were compared for the last time, and whether all of it.
        self._positions: dict[Account, Position] = {}
        self._compared: dict[Account, bool] = {}

    def loop(self) -> Loop:
        """Recovers what is missing, again and again."""
        return Loop("event recovery", self._round, poll_seconds=INTERVAL_SECONDS)

    async def _round(self) -> bool:
        await self.work_once()
        return False

    async def work_once(self) -> None:
        """One round of all corridors, and of some connected accounts of each."""
        await self.look_at_database()
        await self._proofs.begin_round(self._incarnation)
        for corridor in self._stripe.corridors:
            with self._items.kept_apart(corridor):
                await self.recover(corridor)
                await self.recover_connected(corridor)
        await self._proofs.end_round(self._incarnation)

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
        """Begins anew if the database is another than at the last look: it may lack what was
        stored, be it that Stripe had delivered it or that we had fetched it."""
        incarnation, self._newest_time = await self._inbox.incarnation()
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self._newest_kept = self._newest_time
            self._seen_time = self._clock.now()
            self._positions.clear()
            self._compared.clear()
            self._proofs.forget()

    async def recover(self, corridor: str, stripe_account: str | None = None) -> int:
        """Stores what is missing of one account, oldest first; the number of events.

        One page is in memory at a time. If Stripe fails on the way, the next round goes on where
        this one stopped.
        """
        account = corridor, stripe_account
        # Known before anything is listed: what was made before then is in the lists. Stripe has one
        # clock, so that any account's newest event tells its time. Without any there is none to
        # tell it, and nothing that was acknowledged.
        newest_time = self._newest_time
        compared = await self._compare(account)
        walked = await self._undelivered(account)
        if compared.is_whole and walked.is_whole and newest_time is not None:
            self._proofs.add(account, walked_until(newest_time))
        stored = compared.stored + walked.stored
        if stored:
            telemetry.recovered.labels(corridor).inc(stored)
            log.warning("webhooks_recovered", corridor=corridor, events=stored)
        return stored

    async def _compare(self, account: Account) -> Walk:
        """Stores what the database may have lost, at once in each incarnation and once more when
        Stripe's list has all that was made before; again from the beginning if Stripe fails."""
        if account in self._compared:
            return Walk(0, self._compared[account])
        is_last = is_last_comparison(self._seen_time, self._clock.now())
        marker = await self._markers.walked_until(account)
        lacks_since = compared_since(marker, self._newest_kept, self._clock.now())
        if lacks_since is None:
            self._compared[account] = True
            return Walk(0, True)
        since = {"created": {"gte": int(lacks_since.timestamp())}}
        found = await self._oldest_page(account, since)
        if found is None:
            return Walk(0, False)
        page: list[dict[str, Any]] | None
        page, is_whole = found
        stored = 0
        while page:
            stored += (await self._store(account, page)).count(True)
            page = await self._page(account, {**since, "ending_before": page[0]["id"]})
        if page is None:
            return Walk(stored, False)
        if is_last:
            self._compared[account] = is_whole
        return Walk(stored, is_whole)

    async def _undelivered(self, account: Account) -> Walk:
        stored = 0
        position = self._positions.get(account)
        if position is None:
            kept_since = int((self._clock.now() - EVENTS_KEPT).timestamp())
            kept = {**UNDELIVERED, "created": {"gte": kept_since}}
            found = await self._oldest_page(account, kept)
            if found is None:
                return Walk(0, False)
            oldest, is_whole = found
            if not oldest:
                return Walk(0, is_whole)
            stored += await self._store_undelivered(account, oldest, is_whole)
            position = Position(str(oldest[0]["id"]), is_whole)
        after, is_whole = position.event_id, position.is_whole
        for _ in range(self._max_pages):
            page = await self._page(account, {**UNDELIVERED, "ending_before": after})
            if not page:
                return Walk(stored, is_whole and page is not None)
            stored += await self._store_undelivered(account, page, is_whole)
            after = str(page[0]["id"])
        log.error("webhook_recovery_goes_on_later", corridor=account[0], pages=self._max_pages)
        return Walk(stored, False)

    async def _oldest_page(
        self, account: Account, which: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], bool] | None:
        """Stripe lists the newest first, so the way to the oldest leads past all; with it, whether
        it was reached. None if Stripe does not say."""
        page = oldest = await self._page(account, which)
        is_whole = True
        for _ in range(self._max_pages):
            if page is None or len(page) < self._page_size:
                break
            page = await self._page(account, {**which, "starting_after": page[-1]["id"]})
            oldest = page or oldest
        else:
            is_whole = False
            log.error("webhook_recovery_truncated", corridor=account[0], pages=self._max_pages)
        return None if page is None or oldest is None else (oldest, is_whole)

    async def _page(
        self, account: Account, which: Mapping[str, Any]
    ) -> list[dict[str, Any]] | None:
        """A page of events, newest first; None if Stripe does not say."""
        corridor, stripe_account = account
        outcome = await self._stripe.records.list_events(
            corridor, {"limit": self._page_size, **which}, connected_account=stripe_account
        )
        if not outcome.succeeded or outcome.object is None:
            log.warning("webhook_recovery_stopped", corridor=corridor)
            if outcome.outcome_class is OutcomeClass.REJECTED:
                # Perhaps Stripe has forgotten the event that we had come to: begin again.
                self._positions.pop(account, None)
            return None
        page: list[dict[str, Any]] = outcome.object["data"]
        return page

    async def _store(self, account: Account, page: list[dict[str, Any]]) -> list[bool]:
        received = received_from(page, *account, self._clock.now())
        return await self._inbox.store_all(received)

    async def _store_undelivered(
        self, account: Account, page: list[dict[str, Any]], is_whole: bool
    ) -> int:
        """`is_whole` says whether all that comes before the page was listed."""
        stored = await self._store(account, page)
        settled = (self._clock.now() - SETTLED).timestamp()
        for event in reversed(page):
            if event["created"] <= settled:
                self._positions[account] = Position(str(event["id"]), is_whole)
        return stored.count(True)
