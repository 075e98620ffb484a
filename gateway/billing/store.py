"""Objects of Billing, their changes and the walks over Stripe's lists in the database. Migrations
0036_billing and 0037_sigma make the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    Row,
    Table,
    Text,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.billing.billing import BillingKind, Kept
from gateway.epochs import BILLING_NUMBERING_LOCK, FeedName
from gateway.numbering import ChangeReader, NumberedFeed
from runtime.sql_files import sql_statement

# Listened to by WatchBilling.
CHANNEL = "gateway_billing"

metadata = MetaData()
OBJECT = Table(
    "billing_object",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("read_time", DateTime(timezone=True), nullable=False),
    Column("told", Text),
    Column("first_sequence", BigInteger),
    Column("sequence", BigInteger),
)
CHANGE = Table(
    "billing_change",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)
WALK = Table(
    "billing_walk",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("after_id", Text, nullable=False),
    Column("since", DateTime(timezone=True)),
    Column("next_time", DateTime(timezone=True), nullable=False),
    Column("finish_time", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
)
_LISTED = (*(CHANGE.c[name] for name in ("corridor", "kind", "content")), OBJECT.c.first_sequence)
FEED = NumberedFeed(
    name="billing",
    epochs=FeedName.BILLING,
    lock=BILLING_NUMBERING_LOCK,
    channel=CHANNEL,
    statement=sql_statement(__file__, "number_changes"),
    changes=CHANGE,
    shown=select(CHANGE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which objects are wanted; what is empty matches all."""

    corridor: str = ""
    customer_id: str = ""
    status: str = ""


class BillingStore(ChangeReader):
    """What is read of Billing and its changes."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, FEED)

    async def page(
        self, kind: BillingKind, filters: Filters, after: int, limit: int
    ) -> Sequence[Row[Any]]:
        """Those whose first change comes after a sequence, as they were told last."""
        statement = (
            select(*_LISTED)
            .join_from(OBJECT, CHANGE, CHANGE.c.sequence == OBJECT.c.sequence)
            .where(OBJECT.c.kind == kind.value, OBJECT.c.first_sequence > after)
            .order_by(OBJECT.c.first_sequence)
            .limit(limit)
        )
        if filters.corridor:
            statement = statement.where(OBJECT.c.corridor == filters.corridor)
        if filters.customer_id:
            statement = statement.where(OBJECT.c.customer_id == filters.customer_id)
        if filters.status:
            statement = statement.where(CHANGE.c.content["status"].astext == filters.status)
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows


async def keep(
    connection: AsyncConnection, corridor: str, objects: Sequence[Kept], read_time: datetime
) -> None:
    """Keeps what Stripe was asked for at `read_time`, unless it was asked later already."""
    if not objects:
        return
    new = insert(OBJECT)
    statement = new.on_conflict_do_update(
        index_elements=[OBJECT.c.corridor, OBJECT.c.kind, OBJECT.c.id],
        set_={
            name: new.excluded[name] for name in ("customer_id", "content", "digest", "read_time")
        },
        where=OBJECT.c.read_time <= new.excluded.read_time,
    )
    # In one order, so that two who write the same wait for each other and never both.
    rows = [
        {
            "corridor": corridor,
            "kind": one.kind.value,
            "id": one.id,
            "customer_id": one.customer_id,
            "content": one.content,
            "digest": one.digest,
            "read_time": read_time,
        }
        for one in sorted(objects, key=lambda one: (one.kind, one.id))
    ]
    await connection.execute(statement, rows)


async def find(
    connection: AsyncConnection, corridor: str, kind: BillingKind, object_id: str
) -> dict[str, Any] | None:
    """The content that is kept of an object; None if nothing is."""
    statement = select(OBJECT.c.content).where(
        OBJECT.c.corridor == corridor, OBJECT.c.kind == kind.value, OBJECT.c.id == object_id
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def due_walk(
    connection: AsyncConnection, corridors: Sequence[str], now: datetime
) -> Row[Any] | None:
    """The walk that is due longest; those of new corridors are made, due at once."""
    made = {"after_id": "", "next_time": now, "create_time": now}
    wanted = [
        {"corridor": corridor, "kind": kind.value, **made}
        for corridor in corridors
        for kind in BillingKind
    ]
    await connection.execute(insert(WALK).on_conflict_do_nothing(), wanted)
    due = (
        select(WALK)
        .where(WALK.c.corridor.in_(corridors), WALK.c.next_time <= now)
        .order_by(WALK.c.next_time, WALK.c.corridor, WALK.c.kind)
        .limit(1)
    )
    return (await connection.execute(due)).first()


async def walks(connection: AsyncConnection, corridors: Sequence[str]) -> Sequence[Row[Any]]:
    """All walks of these corridors."""
    statement = select(WALK).where(WALK.c.corridor.in_(corridors))
    return (await connection.execute(statement)).all()


async def write_walk(connection: AsyncConnection, walk: Row[Any], **values: object) -> None:
    """Writes how far a walk is."""
    the_walk = (WALK.c.corridor == walk.corridor, WALK.c.kind == walk.kind)
    await connection.execute(update(WALK).where(*the_walk).values(**values))
