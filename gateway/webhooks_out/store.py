"""Endpoints, their secrets and their requests in the database, on the caller's connection."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.webhooks_out.domain import Endpoint, EndpointState, Feed

# Notified when deliveries were made, or put back.
DELIVERY_CHANNEL = "gateway_webhook_delivery"

_metadata = MetaData()
_TIME = DateTime(timezone=True)

ENDPOINT = Table(
    "webhook_endpoint",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text),
    Column("description", Text),
    Column("merchant_id", Text),
    Column("transitions", ARRAY(Text)),
    Column("max_in_flight", Integer),
    Column("state", Text),
    Column("disable_cause", Text),
    Column("dispatched_sequence", BigInteger),
    Column("failing_since", _TIME),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
    Column("feed", Text),
    Column("feed_state", Text),
)

SECRET = Table(
    "webhook_endpoint_secret",
    _metadata,
    Column("secret_number", BigInteger, primary_key=True),
    Column("endpoint_id", Text),
    Column("sealed", LargeBinary),
    Column("request_id", Text),
    Column("create_time", _TIME),
    Column("expire_time", _TIME),
)

DELIVERY = Table(
    "webhook_delivery",
    _metadata,
    Column("delivery_number", BigInteger, primary_key=True),
    Column("endpoint_id", Text),
    Column("sequence", BigInteger),
    # What has changed, of which changes are sent in order: an incident, of that feed.
    Column("payment_id", Text),
    Column("state", Text),
    Column("attempts", Integer),
    Column("next_attempt_time", _TIME),
    Column("lease_until", _TIME),
    Column("fencing_token", BigInteger),
    Column("last_http_status", Integer),
    Column("last_failure", Text),
    Column("create_time", _TIME),
    Column("end_time", _TIME),
)

REQUEST = Table(
    "webhook_endpoint_request",
    _metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text),
    Column("body", LargeBinary),
    Column("endpoint_id", Text),
    Column("create_time", _TIME),
)


_FIELDS = tuple(field.name for field in fields(Endpoint))
# How an endpoint stands. Those of other feeds than the payments' are deleted to code from before
# migration 0047, which would send changes of payments to them.
STATE = func.coalesce(ENDPOINT.c.feed_state, ENDPOINT.c.state)
_COUNT_LOCK = "webhook_endpoint_count"
_LIVING = STATE != EndpointState.DELETED


async def add_endpoint(connection: AsyncConnection, endpoint: Endpoint) -> None:
    """Inserts an endpoint."""
    await connection.execute(insert(ENDPOINT), _row_of(endpoint))


async def save_endpoint(connection: AsyncConnection, endpoint: Endpoint) -> None:
    """Writes an endpoint whose row the caller has locked."""
    row = _row_of(endpoint)
    await connection.execute(update(ENDPOINT).where(ENDPOINT.c.id == row.pop("id")).values(row))


async def get_endpoint(
    connection: AsyncConnection, endpoint_id: str, *, lock: bool = False
) -> Endpoint | None:
    """The endpoint unless it was deleted; with `lock`, locked until the transaction ends."""
    statement = select(ENDPOINT).where(ENDPOINT.c.id == endpoint_id, _LIVING)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).first()
    return endpoint_of(row) if row is not None else None


async def feed_of(connection: AsyncConnection, endpoint_id: str) -> Feed | None:
    """The feed of an endpoint, of a deleted one too; None if there was never one."""
    statement = select(ENDPOINT.c.feed).where(ENDPOINT.c.id == endpoint_id)
    feed = (await connection.execute(statement)).scalar_one_or_none()
    return None if feed is None else Feed(feed)


async def list_endpoints(
    connection: AsyncConnection,
    after: str,
    limit: int,
    merchant_id: str = "",
    feeds: Collection[Feed] = tuple(Feed),
) -> list[Endpoint]:
    """Endpoints of feeds, or those of one merchant, in the order of their ids, after one."""
    statement = (
        select(ENDPOINT)
        .where(_LIVING, ENDPOINT.c.id > after, ENDPOINT.c.feed.in_(feeds))
        .order_by(ENDPOINT.c.id)
        .limit(limit)
    )
    if merchant_id:
        statement = statement.where(ENDPOINT.c.merchant_id == merchant_id)
    return [endpoint_of(row) for row in await connection.execute(statement)]


async def count_endpoints_alone(connection: AsyncConnection) -> int:
    """How many there are; another transaction that counts them waits until this one ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(_COUNT_LOCK))))
    return (
        await connection.execute(select(func.count()).select_from(ENDPOINT).where(_LIVING))
    ).scalar_one()


async def add_secret(
    connection: AsyncConnection, endpoint_id: str, sealed: bytes, request_id: str, now: datetime
) -> None:
    """Adds the newest secret."""
    await connection.execute(
        insert(SECRET).values(
            endpoint_id=endpoint_id, sealed=sealed, request_id=request_id, create_time=now
        )
    )


async def expire_secrets(
    connection: AsyncConnection, endpoint_id: str, now: datetime, newest_until: datetime
) -> None:
    """Ends the secrets: the newest at a time, those before it at once."""
    mine = SECRET.c.endpoint_id == endpoint_id
    earlier = (mine, SECRET.c.expire_time > now)
    await connection.execute(update(SECRET).where(*earlier).values(expire_time=now))
    await connection.execute(
        update(SECRET).where(mine, SECRET.c.expire_time.is_(None)).values(expire_time=newest_until)
    )


async def active_secrets(
    connection: AsyncConnection, endpoint_ids: Sequence[str], now: datetime
) -> list[Any]:
    """Rows of the secrets that sign at this time, newest first."""
    statement = (
        select(SECRET)
        .where(
            SECRET.c.endpoint_id.in_(endpoint_ids),
            or_(SECRET.c.expire_time.is_(None), SECRET.c.expire_time > now),
        )
        .order_by(SECRET.c.secret_number.desc())
    )
    return list((await connection.execute(statement)).all())


async def call_senders(connection: AsyncConnection) -> None:
    """Wakes the workers of every process when the transaction commits."""
    await connection.execute(select(func.pg_notify(DELIVERY_CHANNEL, "")))


def endpoint_of(row: Any) -> Endpoint:
    """The endpoint of a row."""
    values = {name: getattr(row, name) for name in _FIELDS}
    values["feed"] = Feed(row.feed)
    values["state"] = EndpointState(row.feed_state or row.state)
    values["transitions"] = tuple(row.transitions)
    return Endpoint(**values)


def _row_of(endpoint: Endpoint) -> dict[str, Any]:
    row: dict[str, Any] = {**asdict(endpoint), "feed_state": None}
    if endpoint.feed is not Feed.PAYMENTS:
        row["feed_state"], row["state"] = endpoint.state, EndpointState.DELETED
    return row
