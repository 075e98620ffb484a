"""Follows the gateway's feed of payments, and counts what became of them.

What is counted and the place in the feed are one transaction, so that a process that is killed has
done both or neither. Each replica follows the feed; who comes second finds the place further on,
and leaves out what was counted.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import UTC

import grpc
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.gateway_feed import place_to_go_back_to
from compliance.outcomes import store
from compliance.outcomes.gateway_source import GatewayOutcomes, changes_of, place_of
from compliance.outcomes.outcome import (
    Change,
    DisputeOutcome,
    PaymentOutcome,
    Place,
    difference,
    outcome_after,
)
from gateway.v1 import payment_service_pb2 as pb
from runtime.clock import Clock
from runtime.feeds import rounds_of
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier

# How long the loop rests at most while the feed has no news: it is woken by them. After so long
# without any, the feed is known to have none up to then.
POLL_SECONDS = 30.0
MAX_BATCH = 500
GATHER_SECONDS = 0.1
MAX_ASKED_AT_ONCE = 8
# Windows move on soon after midnight.
MOVE_SECONDS = 60.0

CHANGES = Counter(
    "compliance_outcome_changes_total",
    "Changes of payments that the gateway told of: counted, counted before, or unreadable.",
    ["result"],
)
FOLLOW_TIME = Gauge(
    "compliance_outcomes_follow_timestamp_seconds",
    "Unix time up to which the gateway's feed of payments was followed; before it ever was, when"
    " the process began.",
)
for _result in ("counted", "repeated", "unreadable"):
    CHANGES.labels(_result)

log = get_logger(__name__)


class PlaceLostError(ConnectionError):
    """The database has a place that is before what this session has counted."""


class OutcomeWatch:
    """Counts each change once, in the order of the feed."""

    def __init__(self, engine: AsyncEngine, source: GatewayOutcomes, clock: Clock) -> None:
        self._engine = engine
        self._source = source
        self._clock = clock
        self._notifier = Notifier()
        # Up to where this session has counted, or found counted.
        self._place = Place(0, 0)

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after the gateway was away."""
        return Loop(
            "payment watch",
            session=self._follow,
            poll_seconds=POLL_SECONDS,
            notifier=self._notifier,
            expected=(grpc.aio.AioRpcError,),
        )

    async def _follow(self) -> Rounds:
        async with self._engine.connect() as connection:
            self._place, _ = await store.followed(connection)
        feed = self._source.watch(self._place)
        rounds = rounds_of(
            feed,
            self._count,
            self._notifier,
            max_batch=MAX_BATCH,
            gather_seconds=GATHER_SECONDS,
        )
        try:
            async with aclosing(rounds):
                async for worked in rounds:
                    if not worked and self._source.is_connected:
                        async with self._engine.begin() as connection:
                            await store.still_there(connection, self._place, self._clock.now())
                    yield worked
        except grpc.aio.AioRpcError as error:
            # The gateway was restored from a backup, and says where its feed goes on.
            place = Place(*place_to_go_back_to(error))
            log.warning("payment_watch_goes_back", epoch=place.epoch, sequence=place.sequence)
            async with self._engine.begin() as connection:
                await store.go_back(connection, place, self._place)
            # This session is over; the next one is not to wait for news.
            self._notifier.notify()

    async def _count(self, responses: Sequence[pb.WatchPaymentsResponse]) -> None:
        """Counts what is new of a batch, in one transaction with the place."""
        async with self._engine.connect() as connection:
            known, _ = await store.followed(connection)
        disputes = await self._disputes_of(
            change for change in changes_of(responses) if change.place > known
        )
        fresh: list[pb.WatchPaymentsResponse] = []
        async with self._engine.begin() as connection:
            known = await store.lock(connection)
            if known < self._place:
                raise PlaceLostError("the database was set back; the feed is followed anew")
            fresh = [response for response in responses if place_of(response) > known]
            if fresh:
                changes = list(changes_of(fresh))
                await self._write(connection, changes, disputes)
                last = fresh[-1]
                record_time = last.record_time.ToDatetime(tzinfo=UTC)
                await store.advance(connection, place_of(last), min(record_time, self._clock.now()))
        self._place = max(known, place_of(responses[-1]))
        CHANGES.labels("repeated").inc(len(responses) - len(fresh))
        if fresh:
            readable = sum(response.payment.HasField("amount") for response in fresh)
            CHANGES.labels("counted").inc(readable)
            CHANGES.labels("unreadable").inc(len(fresh) - readable)

    async def _disputes_of(self, changes: Iterable[Change]) -> list[DisputeOutcome]:
        """The disputes that changes tell of, as they are now."""
        asked = sorted({change.payment_id for change in changes if change.tells_of_disputes})
        found: list[DisputeOutcome] = []
        for start in range(0, len(asked), MAX_ASKED_AT_ONCE):
            part = asked[start : start + MAX_ASKED_AT_ONCE]
            for disputes in await asyncio.gather(*map(self._source.disputes_of, part)):
                found += disputes
        return found

    async def _write(
        self,
        connection: AsyncConnection,
        changes: Sequence[Change],
        disputes: Sequence[DisputeOutcome],
    ) -> None:
        """What the changes come to. The caller holds the row.

        Of the disputes only those count that one of the changes tells of: others were looked at
        before another process has, which may have seen more.
        """
        before = await store.payment_outcomes(connection, {item.payment_id for item in changes})
        after: dict[str, PaymentOutcome] = {}
        for change in changes:
            known = after.get(change.payment_id) or before.get(change.payment_id)
            outcome = outcome_after(known, change)
            if outcome is not None:
                after[change.payment_id] = outcome
        told_of = {change.payment_id for change in changes if change.tells_of_disputes}
        seen = {item.dispute_id: item for item in disputes if item.payment_id in told_of}
        of_disputes = await store.dispute_outcomes(connection, seen.keys())
        days = difference(
            [
                (before[key].counts if key in before else {}, outcome.counts)
                for key, outcome in after.items()
            ]
            + [
                (of_disputes[key].counts if key in of_disputes else {}, dispute.counts)
                for key, dispute in seen.items()
            ]
        )
        today = self._clock.now().astimezone(UTC).date()
        await store.write(connection, after.values(), seen.values(), days, today)


class RateWindows:
    """Moves windows on when a day has begun, and tells up to when the feed was followed."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._begin_time = clock.now()

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("rate windows", self.round, poll_seconds=MOVE_SECONDS)

    async def round(self) -> bool:
        """Moves a batch; True if there may be more."""
        today = self._clock.now().astimezone(UTC).date()
        async with self._engine.begin() as connection:
            _, follow_time = await store.followed(connection)
            behind = await store.left_behind(connection, today)
            if behind:
                await store.lock(connection)
                await store.refresh(connection, behind, today)
        FOLLOW_TIME.set((follow_time or self._begin_time).timestamp())
        return bool(behind)
