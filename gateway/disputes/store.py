"""Disputes in the database; migrations 0010 and 0016 make the table. Whoever writes one has locked
its payment."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    and_,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.bookkeeping.facts import StripeBalance
from gateway.disputes.domain import Dispute, DisputeMovement, DisputeState
from gateway.payments.store import payments as payment_store

DISPUTE = Table(
    "dispute",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_dispute_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("network_cause", Text, nullable=False),
    Column("movements", JSONB, nullable=False),
    Column("look_time", DateTime(timezone=True), nullable=False),
    Column("evidence_due_time", DateTime(timezone=True)),
    Column("submission_count", Integer, nullable=False),
    Column("decide_time", DateTime(timezone=True)),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)


async def save(connection: AsyncConnection, before: Dispute | None, after: Dispute) -> None:
    """Writes a dispute that is new or has changed."""
    if before is None:
        await connection.execute(insert(DISPUTE), _row_of(after))
    elif before != after:
        statement = update(DISPUTE).where(DISPUTE.c.id == after.id).values(_row_of(after))
        await connection.execute(statement)


async def get(connection: AsyncConnection, dispute_id: str) -> Dispute | None:
    """The dispute as it stands."""
    return await _one(connection, DISPUTE.c.id == dispute_id)


async def lock_dispute(connection: AsyncConnection, dispute_id: str) -> Dispute | None:
    """The dispute, with its payment locked as whoever writes it has to."""
    found = await get(connection, dispute_id)
    if found is None:
        return None
    await payment_store.lock_payment(connection, found.payment_id)
    return await get(connection, dispute_id)


async def of_stripe(
    connection: AsyncConnection, corridor: str, stripe_dispute_id: str
) -> Dispute | None:
    """The dispute that one of Stripe's is, if we know already."""
    named = DISPUTE.c.stripe_dispute_id == stripe_dispute_id
    return await _one(connection, and_(named, DISPUTE.c.corridor == corridor))


async def held_minor(connection: AsyncConnection, payment_id: str) -> int:
    """What all disputes of a payment keep of it, in minor units of its currency."""
    rows = await connection.execute(select(DISPUTE).where(DISPUTE.c.payment_id == payment_id))
    return sum(_dispute_of(row).held_minor for row in rows)


async def page(
    connection: AsyncConnection,
    *,
    merchant_id: str,
    payment_id: str,
    state: str,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Dispute]:
    """Disputes, newest first, beginning after the position; filters that are empty match all."""
    filters = {"merchant_id": merchant_id, "payment_id": payment_id, "state": state}
    conditions = [DISPUTE.c[name] == value for name, value in filters.items() if value]
    if after is not None:
        conditions.append(tuple_(DISPUTE.c.create_time, DISPUTE.c.id) < tuple_(*after))
    statement = (
        select(DISPUTE)
        .where(and_(True, *conditions))
        .order_by(DISPUTE.c.create_time.desc(), DISPUTE.c.id.desc())
        .limit(limit)
    )
    return [_dispute_of(row) for row in await connection.execute(statement)]


async def _one(connection: AsyncConnection, condition: Any) -> Dispute | None:
    row = (await connection.execute(select(DISPUTE).where(condition))).first()
    return _dispute_of(row) if row is not None else None


def _row_of(dispute: Dispute) -> dict[str, Any]:
    values = asdict(dispute)
    for movement in values["movements"]:
        movement["create_time"] = movement["create_time"].isoformat()
    return {**values, "movements": list(values["movements"])}


def _dispute_of(row: Row[Any]) -> Dispute:
    values = dict(row._mapping)
    movements = tuple(_movement_of(movement) for movement in values["movements"])
    return Dispute(**{**values, "state": DisputeState(values["state"]), "movements": movements})


def _movement_of(values: dict[str, Any]) -> DisputeMovement:
    return DisputeMovement(
        **{
            **values,
            "begins_in": StripeBalance(values["begins_in"]),
            "create_time": datetime.fromisoformat(values["create_time"]),
        }
    )
