"""Payouts in the database; the migrations 0010_disputes_payouts, 0029_balance_facts and
0033_payout_feed make the table."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    Row,
    Table,
    Text,
    and_,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payouts.domain import Payout, PayoutState

PAYOUT = Table(
    "payout",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("statement_descriptor", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("stripe_payout_id", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("arrival_time", DateTime(timezone=True)),
    Column("was_paid", Boolean, nullable=False),
    Column("stripe_create_time", DateTime(timezone=True)),
    Column("method", Text, nullable=False),
    Column("source_type", Text, nullable=False),
    Column("destination_type", Text, nullable=False),
    Column("destination_id", Text, nullable=False),
    Column("reconciliation_status", Text, nullable=False),
    Column("trace_id_status", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("original_payout_id", Text, nullable=False),
    Column("reversed_by_payout_id", Text, nullable=False),
    Column("return_time", DateTime(timezone=True)),
    Column("balance_transaction_id", Text, nullable=False),
    Column("failure_balance_transaction_id", Text, nullable=False),
    Column("primary_payout_id", Text, nullable=False),
    Column("content_complete", Boolean, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
    Column("next_look_time", DateTime(timezone=True)),
)


async def add(connection: AsyncConnection, payout: Payout) -> None:
    """Inserts a new payout."""
    await connection.execute(insert(PAYOUT), asdict(payout))


async def save(connection: AsyncConnection, payout: Payout) -> None:
    """Writes a payout that the caller has locked."""
    await connection.execute(update(PAYOUT).where(PAYOUT.c.id == payout.id).values(asdict(payout)))


async def get(connection: AsyncConnection, payout_id: str) -> Payout | None:
    """The payout as it stands."""
    row = (await connection.execute(select(PAYOUT).where(PAYOUT.c.id == payout_id))).first()
    return _payout_of(row) if row is not None else None


async def lock(connection: AsyncConnection, payout_id: str) -> Payout | None:
    """The payout, locked until the transaction ends."""
    statement = select(PAYOUT).where(PAYOUT.c.id == payout_id).with_for_update()
    row = (await connection.execute(statement)).first()
    return _payout_of(row) if row is not None else None


async def lock_of_stripe(
    connection: AsyncConnection, corridor: str, stripe_payout_id: str
) -> Payout | None:
    """The payout that one of Stripe's is, locked. Whoever asks is alone with it until the
    transaction ends, also while we have no row of it."""
    name = f"payout.{corridor}.{stripe_payout_id}"
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
    statement = (
        select(PAYOUT)
        .where(PAYOUT.c.corridor == corridor, PAYOUT.c.stripe_payout_id == stripe_payout_id)
        .with_for_update()
    )
    row = (await connection.execute(statement)).first()
    return _payout_of(row) if row is not None else None


async def lock_to_look_at(connection: AsyncConnection, now: datetime) -> Payout | None:
    """The payout whose look has been due for longest, locked until the transaction ends."""
    statement = (
        select(PAYOUT)
        .where(PAYOUT.c.next_look_time <= now)
        .order_by(PAYOUT.c.next_look_time)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(statement)).first()
    return _payout_of(row) if row is not None else None


async def set_next_look(connection: AsyncConnection, payout_id: str, due: datetime | None) -> None:
    """Writes when Stripe is to be asked about it; None for never."""
    await connection.execute(
        update(PAYOUT).where(PAYOUT.c.id == payout_id).values(next_look_time=due)
    )


async def page(
    connection: AsyncConnection,
    *,
    merchant_id: str,
    state: str,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Payout]:
    """Payouts, newest first, beginning after the position; filters that are empty match all."""
    filters = {"merchant_id": merchant_id, "state": state}
    conditions = [PAYOUT.c[name] == value for name, value in filters.items() if value]
    if after is not None:
        conditions.append(tuple_(PAYOUT.c.create_time, PAYOUT.c.id) < tuple_(*after))
    statement = (
        select(PAYOUT)
        .where(and_(True, *conditions))
        .order_by(PAYOUT.c.create_time.desc(), PAYOUT.c.id.desc())
        .limit(limit)
    )
    return [_payout_of(row) for row in await connection.execute(statement)]


def _payout_of(row: Row[Any]) -> Payout:
    values = dict(row._mapping)
    # When it is looked at is the looks' business.
    del values["next_look_time"]
    return Payout(**{**values, "state": PayoutState(values["state"])})
