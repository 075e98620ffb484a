"""Gaps of the database, and what is needed to find and to close them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.merchants.store import MERCHANT
from gateway.operations.operation import OperationKind, OperationState
from gateway.operations.store import OPERATION
from gateway.payments.domain.payment import Payment
from gateway.payments.store.rows import payment_of
from gateway.payments.store.schema import EVENT, PAYMENT, REFUND
from gateway.payouts.store import PAYOUT

GAP = Table(
    "database_gap",
    MetaData(),
    Column("gap_number", BigInteger, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("known_until", DateTime(timezone=True)),
    Column("found_time", DateTime(timezone=True), nullable=False),
    Column("recover_time", DateTime(timezone=True)),
)
_OPEN = GAP.c.recover_time.is_(None)
# Among so many of the newest payouts accounts are looked for.
RECENT_PAYOUTS = 1_000
# These ask compliance, not Stripe: asked twice they harm nobody.
_CHECKS = (OperationKind.CHECK, OperationKind.CHECK_PAYOUT)


@dataclass(frozen=True, slots=True)
class Gap:
    """What the database has lost is of after `known_until`; of all time if that is None."""

    reason: str
    known_until: datetime | None
    found_time: datetime


async def open_gap(connection: AsyncConnection) -> Gap | None:
    """Why nothing may be begun; None if all is well."""
    statement = select(GAP.c.reason, GAP.c.known_until, GAP.c.found_time).where(_OPEN)
    row = (await connection.execute(statement)).first()
    return Gap(row.reason, row.known_until, row.found_time) if row is not None else None


async def report_gap(connection: AsyncConnection, gap: Gap) -> bool:
    """Writes down that something is missing; False if that is known already: the first to notice
    knows best where it begins."""
    statement = (
        insert_or_ignore(GAP)
        .values(reason=gap.reason, known_until=gap.known_until, found_time=gap.found_time)
        .on_conflict_do_nothing()
        .returning(GAP.c.gap_number)
    )
    return (await connection.execute(statement)).first() is not None


async def extend_gap(connection: AsyncConnection, made: datetime, tolerance: timedelta) -> None:
    """Lets the open gap begin where the oldest object was made that is missing, unless that is a
    matter of clocks, or the gap is of all time."""
    statement = update(GAP).where(_OPEN, GAP.c.known_until > made + tolerance)
    await connection.execute(statement.values(known_until=made))


async def close_gap(connection: AsyncConnection, now: datetime) -> None:
    """Nothing is missing any more."""
    await connection.execute(update(GAP).where(_OPEN).values(recover_time=now))


async def newest_event(connection: AsyncConnection) -> tuple[int, str, datetime] | None:
    """The number of the last change of a payment, which payment, and when."""
    statement = (
        select(EVENT.c.event_number, EVENT.c.payment_id, EVENT.c.record_time)
        .order_by(EVENT.c.event_number.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return (row.event_number, row.payment_id, row.record_time) if row is not None else None


async def payment_of_event(connection: AsyncConnection, event_number: int) -> str | None:
    """Which payment a change is of; None if there is no such change."""
    statement = select(EVENT.c.payment_id).where(EVENT.c.event_number == event_number)
    found: str | None = (await connection.execute(statement)).scalar()
    return found


async def payout_accounts(connection: AsyncConnection, corridor: str, limit: int) -> list[str]:
    """Merchants' accounts in a corridor that were paid out last, and then those that came last."""
    newest = (
        select(PAYOUT.c.account_id, PAYOUT.c.create_time)
        .where(PAYOUT.c.corridor == corridor, PAYOUT.c.account_id != "")
        .order_by(PAYOUT.c.create_time.desc(), PAYOUT.c.id.desc())
        .limit(RECENT_PAYOUTS)
        .subquery()
    )
    paid_out = (
        select(newest.c.account_id)
        .group_by(newest.c.account_id)
        .order_by(func.max(newest.c.create_time).desc())
        .limit(limit)
    )
    came = (
        select(MERCHANT.c.stripe_account_id)
        .where(MERCHANT.c.corridor == corridor, MERCHANT.c.state == "CONNECTED")
        .order_by(MERCHANT.c.merchant_number.desc())
        .limit(limit)
    )
    found = [*(await connection.execute(paid_out)).scalars()]
    found += (await connection.execute(came)).scalars()
    return list(dict.fromkeys(found))[:limit]


async def unknown_payments(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Those of the payments that there is no row of."""
    known = await connection.execute(select(PAYMENT.c.id).where(PAYMENT.c.id.in_(ids)))
    return set(ids) - set(known.scalars())


async def unknown_refunds(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Those of the refunds that there is no row of."""
    known = await connection.execute(select(REFUND.c.id).where(REFUND.c.id.in_(ids)))
    return set(ids) - set(known.scalars())


async def payments_of(connection: AsyncConnection, ids: Collection[str]) -> list[Payment]:
    """Those of the payments that there is a row of."""
    rows = await connection.execute(select(PAYMENT).where(PAYMENT.c.id.in_(ids)))
    return [payment_of(row) for row in rows]


async def asked_for(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Those of the payments for which something is under way that Stripe may know of."""
    statement = select(OPERATION.c.subject_id).where(
        OPERATION.c.subject_id.in_(ids),
        OPERATION.c.kind.not_in(_CHECKS),
        OPERATION.c.end_time.is_(None),
        OPERATION.c.first_send_time.is_not(None),
    )
    return set((await connection.execute(statement)).scalars())


async def set_open_operations_unknown(connection: AsyncConnection, now: datetime) -> int:
    """What the database says was not sent may have been, by the process that went on from there:
    it is sent again under its key while Stripe knows that, and looked up afterwards. How many."""
    statement = (
        update(OPERATION)
        .where(
            OPERATION.c.end_time.is_(None),
            OPERATION.c.kind.not_in(_CHECKS),
            OPERATION.c.state != OperationState.DEAD_LETTER,
        )
        .values(
            state=OperationState.UNKNOWN,
            first_send_time=func.coalesce(OPERATION.c.first_send_time, OPERATION.c.create_time),
            last_send_time=func.greatest(OPERATION.c.last_send_time, now),
            lease_until=None,
            # Whoever holds a lease on it has read it before.
            fencing_token=OPERATION.c.fencing_token + 1,
        )
    )
    result: Any = await connection.execute(statement)
    return int(result.rowcount)
