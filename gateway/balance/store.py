"""Balance transactions, their sums and the sweep over them in the database; migrations 0009_balance
and 0029_balance_facts make the tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.balance.movement import Movement
from gateway.bookkeeping.reporting import BOOKING
from gateway.payments.store.schema import PAYMENT
from runtime.backoff import Backoff
from runtime.sql_files import sql_statement

metadata = MetaData()

TRANSACTION = Table(
    "balance_transaction",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("source_type", Text),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger),
    Column("fee_minor", BigInteger),
    Column("net_minor", BigInteger, nullable=False),
    Column("fee_details", JSONB),
    Column("reporting_category", Text),
    Column("exchange_rate", Text),
    Column("part", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("available_time", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("last_failure", Text),
    Column("stripe_payout_id", Text, nullable=False),
    Column("told", Text),
    Column("first_sequence", BigInteger),
    Column("sequence", BigInteger),
)

TOTAL = Table(
    "balance_total",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("net_minor", BigInteger, nullable=False),
)

SWEEP = Table(
    "balance_sweep",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("swept_until", DateTime(timezone=True)),
    Column("walk_from", DateTime(timezone=True)),
    Column("walk_until", DateTime(timezone=True)),
    Column("walk_after_id", Text),
    Column("lease_until", DateTime(timezone=True)),
    Column("fencing_token", BigInteger, nullable=False),
    Column("next_time", DateTime(timezone=True), nullable=False),
    Column("finish_time", DateTime(timezone=True)),
)


_KEEP = sql_statement(__file__, "keep_movements")
MISSING_REASON = "NOT_AT_STRIPE"
MISSING_PAUSE = timedelta(days=1)
POSTPONEMENT = Backoff(timedelta(seconds=1), timedelta(minutes=10))


class SweepLostError(Exception):
    """Another process sweeps this corridor by now: nothing may be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """How far the sweep of one corridor is. A sweep goes from the newest balance transaction
    back to `walk_from`; `walk_until` is the youngest that its first page showed."""

    corridor: str
    fencing_token: int
    swept_until: datetime | None
    walk_from: datetime | None
    walk_until: datetime | None
    walk_after_id: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A balance transaction that is not explained yet."""

    id: str
    attempts: int


async def prepare(
    connection: AsyncConnection, corridors: Sequence[str], now: datetime
) -> dict[str, datetime]:
    """Makes the sweeps that are not there yet, due at once. When each was last finished; now, if it
    never was."""
    rows = [{"corridor": corridor, "next_time": now} for corridor in corridors]
    await connection.execute(insert_or_ignore(SWEEP).on_conflict_do_nothing(), rows)
    made = await connection.execute(select(SWEEP).where(SWEEP.c.corridor.in_(corridors)))
    return {row.corridor: row.finish_time or now for row in made}


async def claim(
    connection: AsyncConnection, corridor: str, now: datetime, lease_until: datetime
) -> Sweep | None:
    """Leases the sweep of a corridor if it is due and nobody has it."""
    statement = (
        update(SWEEP)
        .where(
            SWEEP.c.corridor == corridor,
            SWEEP.c.next_time <= now,
            or_(SWEEP.c.lease_until.is_(None), SWEEP.c.lease_until <= now),
        )
        .values(lease_until=lease_until, fencing_token=SWEEP.c.fencing_token + 1)
        .returning(*(SWEEP.c[name] for name in Sweep.__dataclass_fields__))
    )
    row = (await connection.execute(statement)).first()
    return Sweep(**row._mapping) if row is not None else None


async def save(connection: AsyncConnection, sweep: Sweep, lease_until: datetime) -> None:
    """Writes how far the sweep is, and keeps the lease. Raises SweepLostError."""
    await _write(
        connection,
        sweep,
        lease_until=lease_until,
        swept_until=sweep.swept_until,
        walk_from=sweep.walk_from,
        walk_until=sweep.walk_until,
        walk_after_id=sweep.walk_after_id,
    )


async def release(
    connection: AsyncConnection, sweep: Sweep, next_time: datetime, finish_time: datetime | None
) -> None:
    """Ends the lease; the sweep is due again then. `finish_time` if all was read."""
    values = {} if finish_time is None else {"finish_time": finish_time}
    await _write(connection, sweep, lease_until=None, next_time=next_time, **values)


async def keep(
    connection: AsyncConnection, corridor: str, movements: Sequence[Movement], now: datetime
) -> set[str]:
    """Keeps what was listed; the ids of those that are new or count in another part by now.

    The caller has written its sweep in the same transaction.
    """
    parameters = {
        "corridor": corridor,
        "now": now,
        "ids": [movement.id for movement in movements],
        "types": [movement.type for movement in movements],
        "source_ids": [movement.source_id for movement in movements],
        "source_types": [movement.source_type for movement in movements],
        "stripe_payout_ids": [movement.payout_id for movement in movements],
        "currencies": [movement.currency for movement in movements],
        "amounts": [movement.amount_minor for movement in movements],
        "fees": [movement.fee_minor for movement in movements],
        "nets": [movement.net_minor for movement in movements],
        "fee_details": [_fee_details(movement) for movement in movements],
        "reporting_categories": [movement.reporting_category for movement in movements],
        "exchange_rates": [movement.exchange_rate for movement in movements],
        "parts": [movement.counts_in.value for movement in movements],
        "create_times": [movement.create_time for movement in movements],
        "available_times": [movement.available_time for movement in movements],
    }
    return set((await connection.execute(_KEEP, parameters)).scalars())


async def explained(connection: AsyncConnection, movement: Movement) -> None:
    """All that the movement means has been reported to bookkeeping.

    Not if it counts elsewhere by now than `movement` says: then it is read again.
    """
    await connection.execute(
        update(TRANSACTION)
        .where(_the(movement.corridor, movement.id), TRANSACTION.c.part == movement.counts_in)
        .values(state="DONE", last_failure=None)
    )


async def postpone(
    connection: AsyncConnection, corridor: str, waiting: Waiting, reason: str, now: datetime
) -> None:
    """Leaves it to be tried again, ever more rarely and without end.

    Without jitter: there is one sweep of a corridor, which looks at them one after the other.
    """
    pause = POSTPONEMENT.bound(waiting.attempts + 1)
    await connection.execute(
        update(TRANSACTION)
        .where(_the(corridor, waiting.id), TRANSACTION.c.state == "OPEN")
        .values(
            attempts=waiting.attempts + 1, next_attempt_time=now + pause, last_failure=reason[:200]
        )
    )


async def waiting(
    connection: AsyncConnection, corridor: str, now: datetime, limit: int
) -> list[Waiting]:
    """What is not explained and due, the longest due first."""
    statement = (
        select(TRANSACTION.c.id, TRANSACTION.c.attempts)
        .where(
            TRANSACTION.c.corridor == corridor,
            TRANSACTION.c.state == "OPEN",
            TRANSACTION.c.next_attempt_time <= now,
        )
        .order_by(TRANSACTION.c.next_attempt_time)
        .limit(limit)
    )
    return [Waiting(row.id, row.attempts) for row in await connection.execute(statement)]


async def set_missing(
    connection: AsyncConnection, corridor: str, transaction_id: str, now: datetime
) -> None:
    """Stripe has none of this id: it is asked for again once a day."""
    await connection.execute(
        update(TRANSACTION)
        .where(_the(corridor, transaction_id))
        .values(
            attempts=TRANSACTION.c.attempts + 1,
            next_attempt_time=now + MISSING_PAUSE,
            last_failure=MISSING_REASON,
        )
    )


async def next_to_mature(
    connection: AsyncConnection, corridor: str, now: datetime
) -> tuple[str, datetime] | None:
    """The pending balance transaction that becomes available first, and when it was made; not one
    that Stripe has said that it does not have."""
    statement = (
        select(TRANSACTION.c.id, TRANSACTION.c.create_time)
        .where(TRANSACTION.c.corridor == corridor, TRANSACTION.c.part == "pending")
        .where(
            TRANSACTION.c.last_failure.is_distinct_from(MISSING_REASON)
            | (TRANSACTION.c.next_attempt_time <= now)
        )
        .order_by(TRANSACTION.c.available_time, TRANSACTION.c.id)
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return (row.id, row.create_time) if row is not None else None


async def totals(connection: AsyncConnection, corridor: str) -> dict[tuple[str, str], int]:
    """Minor units by (currency, part) of all balance transactions read so far."""
    rows = await connection.execute(select(TOTAL).where(TOTAL.c.corridor == corridor))
    return {(row.currency, row.part): row.net_minor for row in rows}


async def payment_of_charge(
    connection: AsyncConnection, corridor: str, charge_id: str
) -> tuple[str, str, datetime | None] | None:
    """The payment that a charge captured, its merchant and when it did, if we know already."""
    statement = select(PAYMENT.c.id, PAYMENT.c.merchant_id, PAYMENT.c.capture_time).where(
        PAYMENT.c.charge_id == charge_id, PAYMENT.c.corridor == corridor
    )
    row = (await connection.execute(statement)).first()
    return (row.id, row.merchant_id, row.capture_time) if row is not None else None


async def made_time(
    connection: AsyncConnection, corridor: str, transaction_id: str
) -> datetime | None:
    """When a balance transaction was made, if it was read already."""
    statement = select(TRANSACTION.c.create_time).where(_the(corridor, transaction_id))
    return (await connection.execute(statement)).scalar_one_or_none()


async def payment_of_fact(connection: AsyncConnection, fact_id: str) -> tuple[str, str] | None:
    """The payment that a reported fact is about, and its merchant."""
    statement = select(BOOKING.c.payment_id, BOOKING.c.fact["merchant_id"].astext.label("m")).where(
        BOOKING.c.fact_id == fact_id, BOOKING.c.payment_id.is_not(None)
    )
    row = (await connection.execute(statement)).first()
    return (row.payment_id, row.m) if row is not None else None


async def is_waiting(connection: AsyncConnection, corridor: str, source_id: str) -> bool:
    """Whether a balance transaction of this source was read and is not explained yet."""
    statement = select(TRANSACTION.c.id).where(
        TRANSACTION.c.corridor == corridor,
        TRANSACTION.c.source_id == source_id,
        TRANSACTION.c.state == "OPEN",
    )
    return (await connection.execute(statement.limit(1))).first() is not None


def ended(sweep: Sweep) -> Sweep:
    """The sweep after it has come to its end."""
    until = max(filter(None, (sweep.swept_until, sweep.walk_until)), default=None)
    return replace(sweep, swept_until=until, walk_from=None, walk_until=None, walk_after_id=None)


def _fee_details(movement: Movement) -> str:
    return json.dumps([asdict(detail) for detail in movement.fee_details])


def _the(corridor: str, transaction_id: str) -> ColumnElement[bool]:
    return and_(TRANSACTION.c.corridor == corridor, TRANSACTION.c.id == transaction_id)


async def _write(connection: AsyncConnection, sweep: Sweep, **values: object) -> None:
    statement = (
        update(SWEEP)
        .where(SWEEP.c.corridor == sweep.corridor, SWEEP.c.fencing_token == sweep.fencing_token)
        .values(**values)
    )
    if (await connection.execute(statement)).rowcount != 1:
        raise SweepLostError(sweep.corridor)
