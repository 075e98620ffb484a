"""The feed of balance transactions (ADR 48), and what is listed by it. Migration
0032_balance_transactions makes the table. What was there before the feed was is numbered the oldest
first."""

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
    Select,
    Table,
    Text,
    and_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance.store import MISSING_REASON, TRANSACTION
from gateway.epochs import BALANCE_NUMBERING_LOCK, FeedName
from gateway.numbering import ChangeReader, NumberedFeed
from runtime.sql_files import sql_statement

# Listened to by WatchBalanceTransactions.
CHANNEL = "gateway_balance_transaction"

CHANGE = Table(
    "balance_transaction_change",
    MetaData(),
    Column("sequence", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("stripe_payout_id", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)

_SHOWN = (
    *CHANGE.columns,
    *(
        TRANSACTION.c[name]
        for name in (
            *("type", "source_id", "source_type", "currency", "amount_minor", "fee_minor"),
            *("net_minor", "fee_details", "reporting_category", "exchange_rate"),
            *("create_time", "available_time", "first_sequence"),
        )
    ),
)
_SAME = and_(TRANSACTION.c.corridor == CHANGE.c.corridor, TRANSACTION.c.id == CHANGE.c.id)

FEED = NumberedFeed(
    name="balance",
    epochs=FeedName.BALANCE_TRANSACTIONS,
    lock=BALANCE_NUMBERING_LOCK,
    channel=CHANNEL,
    statement=sql_statement(__file__, "number_changes"),
    parameters={"missing": MISSING_REASON},
    changes=CHANGE,
    # With what never changes.
    shown=select(*_SHOWN).join_from(CHANGE, TRANSACTION, _SAME),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which balance transactions are wanted; what is empty or None matches all."""

    corridor: str = ""
    currency: str = ""
    type: str = ""
    stripe_payout_id: str = ""
    created_from: datetime | None = None
    created_until: datetime | None = None


class ChangeStore(ChangeReader):
    """What is read of balance transactions and their changes."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, FEED)

    async def page(self, filters: Filters, after: int, limit: int) -> Sequence[Row[Any]]:
        """Those whose first change comes after a sequence, in that order, as they are now."""
        statement = (
            select(*_SHOWN)
            .join_from(TRANSACTION, CHANGE, CHANGE.c.sequence == TRANSACTION.c.sequence)
            .where(TRANSACTION.c.first_sequence > after)
            .order_by(TRANSACTION.c.first_sequence)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (
                await connection.execute(_filtered(statement, filters))
            ).all()
        return rows


def _filtered(statement: Select[Any], filters: Filters) -> Select[Any]:
    for name in ("corridor", "currency", "type", "stripe_payout_id"):
        if wanted := getattr(filters, name):
            statement = statement.where(TRANSACTION.c[name] == wanted)
    if payout_id := filters.stripe_payout_id:
        # As it is shown, too: that may be written a moment later.
        statement = statement.where(CHANGE.c.stripe_payout_id == payout_id)
    if filters.created_from is not None:
        statement = statement.where(TRANSACTION.c.create_time >= filters.created_from)
    if filters.created_until is not None:
        statement = statement.where(TRANSACTION.c.create_time < filters.created_until)
    return statement
