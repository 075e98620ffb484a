"""What payouts contain, in the database: which payout each balance transaction went out with.

Stripe tells it of payouts of its schedule only, once it has worked it out
(https://docs.stripe.com/api/payouts/object#payout_object-reconciliation_status). Migration
0032_balance_transactions adds the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Boolean, Column, DateTime, MetaData, Table, Text, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.balance.store import TRANSACTION

COMPLETED = "completed"

# What reading contents needs of payouts, which `gateway/payouts` writes.
PAYOUT = Table(
    "payout",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("corridor", Text),
    Column("account_id", Text),
    Column("stripe_payout_id", Text),
    Column("automatic", Boolean),
    Column("reconciliation_status", Text),
    Column("content_after_id", Text),
    Column("content_time", DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class Unread:
    """A payout whose content is still to be read: after which balance transaction; empty for the
    beginning."""

    id: str
    stripe_payout_id: str
    after_id: str


async def next_unread(connection: AsyncConnection, corridor: str) -> Unread | None:
    """The platform's next payout in a corridor of which Stripe tells what it contains."""
    statement = (
        select(PAYOUT.c.id, PAYOUT.c.stripe_payout_id, PAYOUT.c.content_after_id)
        .where(
            PAYOUT.c.corridor == corridor,
            PAYOUT.c.account_id == "",
            PAYOUT.c.automatic,
            PAYOUT.c.reconciliation_status == COMPLETED,
            PAYOUT.c.content_time.is_(None),
        )
        .order_by(PAYOUT.c.id)
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else Unread(row.id, row.stripe_payout_id, row.content_after_id)


async def keep_content(
    connection: AsyncConnection, corridor: str, payout: Unread, ids: Sequence[str]
) -> None:
    """Writes that these balance transactions went out with the payout."""
    await connection.execute(
        update(TRANSACTION)
        .where(
            TRANSACTION.c.corridor == corridor,
            TRANSACTION.c.id.in_(ids),
            TRANSACTION.c.stripe_payout_id != payout.stripe_payout_id,
        )
        .values(stripe_payout_id=payout.stripe_payout_id)
    )


async def go_on_after(connection: AsyncConnection, payout: Unread, after_id: str) -> None:
    """Writes how far it was read."""
    await _write(connection, payout, content_after_id=after_id)


async def set_read(connection: AsyncConnection, payout: Unread, now: datetime) -> None:
    """All of it was read, or Stripe does not tell it after all."""
    await _write(connection, payout, content_after_id="", content_time=now)


async def _write(connection: AsyncConnection, payout: Unread, **values: object) -> None:
    await connection.execute(update(PAYOUT).where(PAYOUT.c.id == payout.id).values(**values))
