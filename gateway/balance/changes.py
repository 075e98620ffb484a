"""The feed of balance transactions, numbered after the commit of what changed and never inside it,
as that of payments is (ADR 8 and 48), and what is listed by it. Migration 0032_balance_transactions
makes the table.

A row has changed where it differs from what was told of it last, so that nobody has to say so:
what a release before writes is numbered, too, and what was there before the feed was, the oldest
first.
"""

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
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.balance.store import MISSING_REASON, TRANSACTION
from gateway.epochs import BALANCE_NUMBERING_LOCK, Epochs, FeedName, epochs
from gateway.operations.gate import Gate
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.sql_files import sql_statement

# Notified with new changes, listened to by WatchBalanceTransactions.
CHANNEL = "gateway_balance_transaction"
# As many are looked up whose money they were in one transaction.
NUMBER_BATCH = 500
# A sweep comes once a minute: nobody waits for less.
POLL_SECONDS = 0.5

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

_NUMBER = sql_statement(__file__, "number_changes")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which balance transactions are wanted; what is empty or None matches all."""

    corridor: str = ""
    currency: str = ""
    type: str = ""
    stripe_payout_id: str = ""
    created_from: datetime | None = None
    created_until: datetime | None = None


class Numbering:
    """Numbers what has changed; of all processes that try, one does it at a time. None while the
    database is known to have lost something: what follows belongs to another epoch."""

    def __init__(self, engine: AsyncEngine, gate: Gate, clock: Clock) -> None:
        self._engine = engine
        self._gate = gate
        self._clock = clock

    def loop(self) -> Loop:
        """Numbers as long as there is something."""
        return Loop("balance numbering", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Numbers what is new; True if there may be more at once."""
        if self._gate.closed:
            return False
        async with self._engine.begin() as connection:
            return await number_changes(connection, self._clock.now()) == NUMBER_BATCH


class ChangeStore:
    """What is read of balance transactions and their changes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

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

    async def after(self, sequence: int, limit: int) -> Sequence[Row[Any]]:
        """The next changes after a sequence, in its order, each with what never changes."""
        statement = (
            select(*_SHOWN)
            .join_from(CHANGE, TRANSACTION, _SAME)
            .where(CHANGE.c.sequence > sequence)
            .order_by(CHANGE.c.sequence)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows

    async def epochs(self) -> Epochs:
        """The epochs of the changes' sequences, and the last sequence."""
        newest = select(func.coalesce(func.max(CHANGE.c.sequence), 0))
        async with self._engine.connect() as connection:
            last: int = (await connection.execute(newest)).scalar_one()
            return await epochs(connection, FeedName.BALANCE_TRANSACTIONS, last)


async def number_changes(connection: AsyncConnection, now: datetime) -> int:
    """Writes what has changed under the next sequences; how many. 0 too if another process is at
    it."""
    lock = select(func.pg_try_advisory_xact_lock(BALANCE_NUMBERING_LOCK))
    if not (await connection.execute(lock)).scalar_one():
        return 0
    parameters = {"limit": NUMBER_BATCH, "missing": MISSING_REASON, "now": now}
    numbered = (await connection.execute(_NUMBER, parameters)).rowcount
    if numbered:
        await connection.execute(select(func.pg_notify(CHANNEL, "")))
    return numbered


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
