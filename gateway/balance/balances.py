"""Stripe's balances beside the sums of their balance transactions, as each sweep found them.

Migration 0034_balances makes the table."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runtime.sql_files import sql_statement

Figures = Mapping[tuple[str, str], int]
"""Minor units by (currency, part)."""

BALANCE = Table(
    "balance_at_stripe",
    MetaData(),
    Column("corridor", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("stripe_minor", BigInteger, nullable=False),
    Column("sum_minor", BigInteger, nullable=False),
    Column("differing_sweeps", Integer, nullable=False),
    Column("differs_since", DateTime(timezone=True)),
    Column("sweep_time", DateTime(timezone=True), nullable=False),
)
_KEY = (BALANCE.c.corridor, BALANCE.c.currency, BALANCE.c.part)
_KEEP = sql_statement(__file__, "keep_balances")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A part of Stripe's balance in one currency, and what its balance transactions come to."""

    currency: str
    part: str
    stripe_minor: int
    sum_minor: int

    @property
    def difference_minor(self) -> int:
        """Stripe's balance less the sum."""
        return self.stripe_minor - self.sum_minor


def compared(
    theirs: Figures, before: Figures, after: Figures, never_told: Collection[str]
) -> list[Compared]:
    """Stripe's balance beside the sums from before Stripe was asked and from after it. Pure.

    What came in between may be in the balance or not: between the two sums nothing differs. So a
    difference smaller than what moves meanwhile shows when less moves; there is no false alarm.
    """
    told = {key for key in (*before, *after) if key[1] not in never_told}
    found = []
    for key in sorted(told | theirs.keys()):
        stripe_minor = theirs.get(key, 0)
        low, high = sorted((before.get(key, 0), after.get(key, 0)))
        found.append(
            Compared(
                currency=key[0],
                part=key[1],
                stripe_minor=stripe_minor,
                sum_minor=min(max(stripe_minor, low), high),
            )
        )
    return found


async def keep(
    connection: AsyncConnection, corridor: str, found: Sequence[Compared], asked: datetime
) -> None:
    """Writes what a sweep has found when it asked Stripe. The caller has written its sweep in the
    same transaction."""
    await connection.execute(
        _KEEP,
        {
            "corridor": corridor,
            "asked": asked,
            "currencies": [one.currency for one in found],
            "parts": [one.part for one in found],
            "stripe_minors": [one.stripe_minor for one in found],
            "sum_minors": [one.sum_minor for one in found],
        },
    )


class BalanceReader:
    """Reads what the last sweeps have found."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(
        self, corridor: str, currency: str, after: tuple[str, ...] | None, limit: int
    ) -> Sequence[Row[Any]]:
        """Balances by their key, after one; filters that are empty match all."""
        statement = select(BALANCE).order_by(*_KEY).limit(limit)
        if corridor:
            statement = statement.where(BALANCE.c.corridor == corridor)
        if currency:
            statement = statement.where(BALANCE.c.currency == currency)
        if after is not None:
            statement = statement.where(tuple_(*_KEY) > tuple_(*after))
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        return rows
