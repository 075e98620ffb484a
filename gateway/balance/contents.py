"""What payouts contain, in the database: which payout each balance transaction went out with.

Stripe tells it of payouts of its schedule only, not of instant ones, once it has worked it out
(https://docs.stripe.com/api/payouts/object#payout_object-reconciliation_status). Migrations
0032_balance_transactions and 0033_payout_feed add the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.balance.splitting import PaidOut, primaries
from gateway.balance.store import TRANSACTION

COMPLETED, NOT_APPLICABLE = "completed", "not_applicable"
INSTANT = "instant"
# Payouts of one run that are looked at together: Stripe splits into as many as it takes, and a
# balance that takes more does not fit into what a balance can be.
MAX_RUN = 1_000

# What reading contents needs of payouts, which `gateway/payouts` writes.
PAYOUT = Table(
    "payout",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("corridor", Text),
    Column("account_id", Text),
    Column("stripe_payout_id", Text),
    Column("automatic", Boolean),
    Column("method", Text),
    Column("currency", Text),
    Column("amount_minor", BigInteger),
    Column("destination_id", Text),
    Column("stripe_create_time", DateTime(timezone=True)),
    Column("arrival_time", DateTime(timezone=True)),
    Column("reconciliation_status", Text),
    Column("content_after_id", Text),
    Column("content_time", DateTime(timezone=True)),
    Column("content_complete", Boolean),
    Column("primary_payout_id", Text),
)
# Those that Stripe lists the content of.
_LISTED = and_(
    PAYOUT.c.account_id == "",
    PAYOUT.c.automatic,
    PAYOUT.c.method != INSTANT,
    PAYOUT.c.stripe_payout_id != "",
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
            _LISTED,
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
    """Writes that these balance transactions went out with the payout; another payout only if it
    has no content of its own: a part of a split one is none of what they contain."""
    of_a_part = (
        select(PAYOUT.c.id)
        .where(
            TRANSACTION.c.type == "payout",
            PAYOUT.c.corridor == corridor,
            PAYOUT.c.stripe_payout_id == TRANSACTION.c.source_id,
            _LISTED,
        )
        .exists()
    )
    await connection.execute(
        update(TRANSACTION)
        .where(
            TRANSACTION.c.corridor == corridor,
            TRANSACTION.c.id.in_(ids),
            TRANSACTION.c.stripe_payout_id != payout.stripe_payout_id,
            ~of_a_part,
        )
        .values(stripe_payout_id=payout.stripe_payout_id)
    )


async def go_on_after(connection: AsyncConnection, payout: Unread, after_id: str) -> None:
    """Writes how far it was read."""
    await _write(connection, payout, content_after_id=after_id)


async def set_read(
    connection: AsyncConnection, corridor: str, payout: Unread, now: datetime
) -> None:
    """All of it was read, or Stripe does not tell it after all. With the last of those that Stripe
    made together it is known what each of them contains, and which were one that Stripe split."""
    await _write(connection, payout, content_after_id="", content_time=now)
    run = await _run_of(connection, payout)
    if run is None:
        return
    parts = primaries(run)
    await _write(connection, payout, content_complete=True)
    for one in run:
        await connection.execute(
            update(PAYOUT)
            .where(PAYOUT.c.corridor == corridor, PAYOUT.c.stripe_payout_id == one.id)
            .values(content_complete=True, primary_payout_id=parts.get(one.id, ""))
        )


async def _run_of(connection: AsyncConnection, payout: Unread) -> list[PaidOut] | None:
    """The payouts that were made together with one, and itself; None while the content of some of
    them is unread. Empty where it is not known when it was made."""
    itself, other = PAYOUT.alias("itself"), PAYOUT
    day = func.date_trunc("day", other.c.stripe_create_time, "UTC")
    together = and_(
        _LISTED,
        *(
            other.c[name] == itself.c[name]
            for name in ("corridor", "currency", "destination_id", "arrival_time")
        ),
        day == func.date_trunc("day", itself.c.stripe_create_time, "UTC"),
    )
    content = (
        select(
            func.count().label("listed"),
            func.coalesce(func.sum(TRANSACTION.c.net_minor), 0).label("minor"),
        )
        .where(
            TRANSACTION.c.corridor == other.c.corridor,
            TRANSACTION.c.stripe_payout_id == other.c.stripe_payout_id,
            # As the index has it.
            TRANSACTION.c.stripe_payout_id != "",
            TRANSACTION.c.source_id != other.c.stripe_payout_id,
        )
        .lateral("content")
    )
    is_read = or_(
        other.c.content_time.is_not(None), other.c.reconciliation_status == NOT_APPLICABLE
    )
    statement = (
        select(
            other.c.stripe_payout_id,
            other.c.amount_minor,
            is_read.label("is_read"),
            content.c.listed,
            content.c.minor,
        )
        .select_from(other)
        .join(itself, and_(itself.c.id == payout.id, together))
        .join(content, true())
        .order_by(other.c.stripe_payout_id)
        .limit(MAX_RUN)
    )
    rows = (await connection.execute(statement)).all()
    if not all(row.is_read for row in rows):
        return None
    return [
        PaidOut(
            id=row.stripe_payout_id,
            amount_minor=row.amount_minor,
            content_minor=int(row.minor),
            content_count=row.listed,
        )
        for row in rows
    ]


async def _write(connection: AsyncConnection, payout: Unread, **values: object) -> None:
    await connection.execute(update(PAYOUT).where(PAYOUT.c.id == payout.id).values(**values))
