"""Notices that the database knows less than Stripe, and lets nothing begin on it until it is whole.

A database that was restored, or that a failover has put back by some commits, does not know what
it has lost. Three things tell: at the start, Stripe's newest objects that carry our metadata, of
every kind that the engine makes; an event about such an object; and a change that this process has
seen written and that is gone.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import database_behind
from gateway.identity import RequestIdentity
from gateway.ids import RequestMetadata
from gateway.recovery import store
from gateway.recovery.comparison import Comparable, NewestObjects, NotToldError
from gateway.recovery.histories import Histories
from gateway.stripe_client.call import background
from gateway.stripe_client.client import StripeClient
from runtime.clock import Clock
from runtime.durability_watch import DurabilityWatch
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.postgres import database_incarnation

POLL_SECONDS = 1.0
# So many of an account's lists are asked for at a time.
LISTS_AT_ONCE = 5
# One account may take so long; one that could not be asked is asked again after the other.
COMPARISON_SECONDS = 5.0
COMPARISON_RETRY = timedelta(seconds=30)
# Clocks may be wrong by so much.
CLOCK_TOLERANCE = timedelta(minutes=8)
BEHIND = Gauge(
    "gateway_database_behind", "1 while the database knows less than Stripe: run recover."
)
UNCOMPARED = Gauge(
    "gateway_database_uncompared_accounts",
    "Stripe accounts whose newest objects could not yet be compared with the database.",
)

log = get_logger(__name__)


class RestoreGuard:
    """Whether anything may be begun on this database."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        identity: RequestIdentity,
        clock: Clock,
        durability: DurabilityWatch | None = None,
    ) -> None:
        """With `durability`, histories of the database are written down, and compared."""
        self._histories = Histories(engine, durability or DurabilityWatch(), clock)
        self._engine = engine
        self._stripe = stripe_client
        self._identity = identity
        self._clock = clock
        self._newest = NewestObjects(engine, stripe_client, identity, self.is_ours, clock)
        self._gap: store.Gap | None = None
        # Corridors, and of the others the kinds of objects that were compared so far.
        self._compared: set[str] = set()
        self._compared_kinds: set[tuple[str, str]] = set()
        # The last change that the database had when it was last known to be whole; before that is
        # known, at the first look.
        self._known_until: datetime | None = None
        self._looked = False
        self._next_comparison = clock.now()
        self._last_seen: tuple[int, str] | None = None
        self._incarnation = ""

    @property
    def closed(self) -> bool:
        """Whether the database is known to have lost something, so that nothing may be begun."""
        return self._gap is not None

    @property
    def unchecked_history(self) -> int:
        """The number of the database's history, as long as not all of it was compared; else 0."""
        return self._histories.unchecked

    async def is_whole(self, connection: AsyncConnection, corridor: str) -> bool:
        """Whether the very database that the connection has was compared with the corridor's newest
        objects, and nothing was missing: it may be another since the last round."""
        if corridor not in self._compared or await store.open_gap(connection) is not None:
            return False
        return self._incarnation == await database_incarnation(connection)

    def check(self) -> None:
        """Raises DATABASE_BEHIND while the database is known to have lost something."""
        if self._gap is not None:
            raise database_behind()

    async def prepare(self) -> None:
        """The first look; an account that cannot be asked now is asked again later."""
        await self._round()

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("restore guard", self._round, poll_seconds=POLL_SECONDS, rests_first=True)

    async def lost(self, reason: str, made: datetime | None = None) -> None:
        """Something of ours is at Stripe that the database does not know, `made` then: a recovery
        reads what is there since before that."""
        async with self._engine.begin() as connection:
            await self.write_lost(connection, reason, made)

    async def write_lost(
        self, connection: AsyncConnection, reason: str, made: datetime | None = None
    ) -> None:
        """The same in the caller's transaction, which writes down what was lost: both or neither.
        It is closed from now on; should the transaction fail, until the next round."""
        gap = store.Gap(reason, self._known_until, self._clock.now())
        if await store.report_gap(connection, gap):
            log.error("database_behind", reason=reason)
        if made is not None:
            await store.extend_gap(connection, made, CLOCK_TOLERANCE)
        self._take(await store.open_gap(connection))

    def is_ours(self, carrier: Mapping[str, Any]) -> bool:
        """Whether this deployment has made an object of Stripe's for a request that it carries:
        nothing could be rebuilt of one that an earlier release made, and this one has captured."""
        carried = RequestMetadata.read(carrier.get("metadata") or {})
        return carried is not None and carried.deployment == self._identity.deployment

    async def _round(self) -> bool:
        async with self._engine.connect() as connection:
            self._take(await store.open_gap(connection))
            if self.closed:
                # What there is after it was mended is another story.
                self._last_seen = None
                return False
            incarnation = await database_incarnation(connection)
            newest = await store.newest_event(connection)
            gone = self._last_seen is not None and (
                await store.payment_of_event(connection, self._last_seen[0]) != self._last_seen[1]
            )
        if gone:
            await self.lost("a change of a payment is gone")
            return False
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self._compare_anew()
        await self._histories.look(incarnation)
        self._last_seen = newest[:2] if newest is not None else None
        is_whole = self._compared.issuperset(self._stripe.corridors)
        if is_whole or not self._looked:
            self._looked = True
            self._known_until = newest[2] if newest is not None else None
        if not is_whole and self._clock.now() >= self._next_comparison:
            await self._compare_all()
        elif is_whole:
            await self._histories.compared()
        return False

    async def _compare_all(self) -> None:
        """Compares each account that was not yet; one that cannot be asked is asked again later, so
        that a slow Stripe keeps nobody from starting and gets no more to do."""
        self._next_comparison = self._clock.now() + COMPARISON_RETRY
        known = self._known_until
        since = known - CLOCK_TOLERANCE if known is not None else None
        for corridor in self._stripe.corridors:
            if corridor in self._compared:
                continue
            with suppress(TimeoutError), background():
                async with asyncio.timeout(COMPARISON_SECONDS):
                    if await self._compare(corridor, since):
                        self._compared.add(corridor)
        UNCOMPARED.set(len(set(self._stripe.corridors) - self._compared))

    async def _compare(self, corridor: str, since: datetime | None) -> bool:
        """Compares an account's newest objects with our rows; whether it could be asked."""
        kinds = await self._newest.kinds(corridor)
        at_once = asyncio.Semaphore(LISTS_AT_ONCE)

        async def compare(kind: Comparable) -> bool:
            async with at_once:
                return await self._compare_kind(corridor, kind, since)

        return all(await asyncio.gather(*(compare(kind) for kind in kinds)))

    async def _compare_kind(self, corridor: str, kind: Comparable, since: datetime | None) -> bool:
        """The same for objects of one kind; what was compared is not asked for again because of
        another that could not be."""
        if (corridor, kind.what) in self._compared_kinds:
            return True
        try:
            missing = await self._newest.missing(corridor, kind, since)
        except NotToldError:
            return False
        if missing is not None:
            await self.lost(
                f"{missing.count} of the newest {kind.what} of {corridor} that say they are of the"
                f" deployment {self._identity.deployment} are not known",
                missing.made,
            )
        self._compared_kinds.add((corridor, kind.what))
        return True

    def _take(self, gap: store.Gap | None) -> None:
        if self._gap is not None and gap is None:
            self._compare_anew()
        self._gap = gap
        BEHIND.set(gap is not None)

    def _compare_anew(self) -> None:
        self._compared.clear()
        self._compared_kinds.clear()
        self._looked = False
        self._next_comparison = self._clock.now()
