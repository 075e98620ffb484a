"""Deliveries in the database: made from a feed, leased, fenced, finished, put back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.epochs import FeedName, epoch_of
from gateway.limits import LIMITS, Limits
from gateway.webhooks_out.domain import Endpoint, EndpointState
from gateway.webhooks_out.feeds import FeedChange, WebhookFeed
from gateway.webhooks_out.store import DELIVERY, ENDPOINT, STATE, endpoint_of
from runtime.sql_files import sql_statement
from runtime.webhooks import Attempt, DeliveryState, Verdict

KEEP_DELIVERED = timedelta(days=30)
PURGE_BATCH = 1_000
# The failure of a delivery whose event cannot be read.
UNREADABLE = "unreadable"
_CLAIM_LOCK = 7_301_004

_CLAIM = sql_statement(__file__, "claim_deliveries")
_PENDING = DELIVERY.c.state == DeliveryState.PENDING


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery under our lease."""

    delivery_number: int
    endpoint_id: str
    sequence: int
    attempts: int
    fencing_token: int
    feed: str


async def behind(connection: AsyncConnection, feed: WebhookFeed) -> list[str]:
    """The endpoints that their feed is ahead of."""
    newest = (await feed.epochs(connection)).last_sequence
    statement = select(ENDPOINT.c.id).where(
        ENDPOINT.c.feed == feed.feed,
        STATE == EndpointState.ENABLED,
        ENDPOINT.c.dispatched_sequence < newest,
    )
    return list((await connection.execute(statement)).scalars())


async def dispatch(
    connection: AsyncConnection,
    feed: WebhookFeed,
    endpoint_id: str,
    now: datetime,
    limits: Limits = LIMITS,
) -> bool:
    """Makes deliveries of the next changes for one endpoint of the feed and moves its cursor, in
    one transaction; True if there may be more at once. What was sent before is sent again."""
    statement = (
        select(ENDPOINT)
        .where(ENDPOINT.c.id == endpoint_id, STATE == EndpointState.ENABLED)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(statement)).first()
    if row is None or await _is_full(connection, endpoint_id, limits.delivery_backlog):
        return False
    endpoint = endpoint_of(row)
    events = await feed.changes(connection, endpoint.dispatched_sequence, limits.dispatch_batch)
    if not events:
        return False
    await _add(connection, endpoint, events, now)
    await connection.execute(
        update(ENDPOINT)
        .where(ENDPOINT.c.id == endpoint_id)
        .values(dispatched_sequence=events[-1].sequence)
    )
    return len(events) == limits.dispatch_batch


async def claim(
    connection: AsyncConnection, now: datetime, lease_until: datetime, limit: int
) -> list[ClaimedDelivery]:
    """Leases what is due, as far as the endpoints have room; nothing if another process is at
    it right now."""
    locked = await connection.execute(select(func.pg_try_advisory_xact_lock(_CLAIM_LOCK)))
    if not locked.scalar_one():
        return []
    parameters = {"now": now, "lease_until": lease_until, "limit": limit}
    rows = await connection.execute(_CLAIM, parameters)
    return [ClaimedDelivery(**row._mapping) for row in rows]


async def give_up_unreadable(
    connection: AsyncConnection, delivery_numbers: Sequence[int], now: datetime
) -> None:
    """Ends deliveries of which no body can be made; the caller holds their leases."""
    await connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_number.in_(delivery_numbers))
        .values(state=DeliveryState.DEAD, lease_until=None, last_failure=UNREADABLE, end_time=now)
    )


async def finish_attempt(
    connection: AsyncConnection,
    claimed: ClaimedDelivery,
    attempt: Attempt,
    verdict: Verdict,
    now: datetime,
) -> bool:
    """Writes what came of an attempt, unless another process has leased the delivery since."""
    ended = verdict.state is not DeliveryState.PENDING
    statement = (
        update(DELIVERY)
        .where(
            DELIVERY.c.delivery_number == claimed.delivery_number,
            DELIVERY.c.fencing_token == claimed.fencing_token,
            _PENDING,
        )
        .values(
            state=verdict.state,
            attempts=claimed.attempts + 1,
            next_attempt_time=now + (verdict.wait or timedelta(0)),
            lease_until=None,
            last_http_status=attempt.http_status,
            last_failure=attempt.failure,
            end_time=now if ended else None,
        )
    )
    return (await connection.execute(statement)).rowcount == 1


async def list_deliveries(
    connection: AsyncConnection,
    endpoint_id: str,
    epochs_of: FeedName,
    state: str,
    after: int,
    limit: int,
) -> list[Any]:
    """Rows of an endpoint's deliveries with their changes' epochs, oldest first, after a number."""
    statement = (
        select(DELIVERY, epoch_of(epochs_of, DELIVERY.c.sequence))
        .where(DELIVERY.c.endpoint_id == endpoint_id, DELIVERY.c.delivery_number > after)
        .order_by(DELIVERY.c.delivery_number)
        .limit(limit)
    )
    if state:
        statement = statement.where(DELIVERY.c.state == state)
    return list((await connection.execute(statement)).all())


async def put_back(
    connection: AsyncConnection, endpoint_id: str, delivery_number: int, now: datetime
) -> bool:
    """Has a delivery that has ended sent again; False if there is none such."""
    statement = (
        update(DELIVERY)
        .where(
            DELIVERY.c.endpoint_id == endpoint_id,
            DELIVERY.c.delivery_number == delivery_number,
            ~_PENDING,
        )
        .values(_afresh(now))
    )
    return (await connection.execute(statement)).rowcount == 1


async def drop_pending(connection: AsyncConnection, endpoint_id: str) -> None:
    """Deletes what a deleted endpoint was not sent."""
    await connection.execute(
        delete(DELIVERY).where(DELIVERY.c.endpoint_id == endpoint_id, _PENDING)
    )


async def purge(connection: AsyncConnection, now: datetime, limit: int = PURGE_BATCH) -> int:
    """Deletes what was delivered long ago, at most so much; returns how many."""
    old = (
        select(DELIVERY.c.delivery_number)
        .where(
            DELIVERY.c.state == DeliveryState.DELIVERED,
            DELIVERY.c.end_time < now - KEEP_DELIVERED,
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = delete(DELIVERY).where(DELIVERY.c.delivery_number.in_(old))
    return int((await connection.execute(statement)).rowcount)


async def _is_full(connection: AsyncConnection, endpoint_id: str, backlog: int) -> bool:
    pending = (
        select(DELIVERY.c.delivery_number)
        .where(DELIVERY.c.endpoint_id == endpoint_id, _PENDING)
        .limit(backlog)
        .subquery()
    )
    count = (await connection.execute(select(func.count()).select_from(pending))).scalar_one()
    return bool(count >= backlog)


async def _add(
    connection: AsyncConnection, endpoint: Endpoint, events: Sequence[FeedChange], now: datetime
) -> None:
    rows = [
        {
            "endpoint_id": endpoint.id,
            "sequence": event.sequence,
            "payment_id": event.subject_id,
            "fencing_token": 0,
            "create_time": now,
            **_afresh(now),
        }
        for event in events
        if endpoint.takes(event.merchant_id, event.kind)
    ]
    if not rows:
        return
    statement = upsert(DELIVERY)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["endpoint_id", "sequence"], set_=_afresh(now), where=~_PENDING
        ),
        rows,
    )


def _afresh(now: datetime) -> dict[str, Any]:
    """What a delivery is like before its first attempt."""
    return {
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "next_attempt_time": now,
        "lease_until": None,
        "last_http_status": 0,
        "last_failure": "",
        "end_time": None,
    }
