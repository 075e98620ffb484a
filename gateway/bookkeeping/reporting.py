"""Reporting facts to bookkeeping, and asking what of a payment is booked.

Both run on the caller's connection, inside its database transaction: the fact is kept exactly if
the knowledge it comes from is kept.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.bookkeeping.balance_facts import DebitMoved
from gateway.bookkeeping.codec import from_json, kind_of, name_of, to_json
from gateway.bookkeeping.facts import Fact
from gateway.bookkeeping.telemetry import trace_parent
from runtime.sql_files import sql_statement

# Notified by whoever reports a fact, listened to by the bookkeeping worker.
CHANNEL = "gateway_booking"

BOOKING = Table(
    "booking",
    MetaData(),
    Column("booking_number", BigInteger, primary_key=True),
    Column("fact_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fact", JSONB, nullable=False),
    Column("subject", Text, nullable=False),
    Column("requires", Text),
    Column("payment_id", Text),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("lease_until", DateTime(timezone=True)),
    Column("fencing_token", BigInteger, nullable=False),
    Column("ledger", Text),
    Column("ledger_sequence", BigInteger),
    Column("failure_reason", Text),
    Column("failure_message", Text),
    Column("trace_parent", Text),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("decide_time", DateTime(timezone=True)),
)

# More facts than one payment can have: refunds, disputes and attempts are each bounded below it.
MAX_FACTS_OF_A_PAYMENT = 200
# The second try follows when what the fact builds on was committed while we waited for the lock.
REPORT_TRIES = 2

_REPORT_FACT = sql_statement(__file__, "report_fact")


class BookingState(StrEnum):
    """How far a fact is on its way to the ledger."""

    PENDING = "PENDING"
    BOOKED = "BOOKED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Booking:
    """One fact and its place in the ledger.

    `amount_minor` of `currency` is the fact's amount. What the ledger says is None until BOOKED
    (`decide_time` until REFUSED, too): the ledger's name and the sequence, which is the
    transaction's id there. `failure_reason` is why the last attempt failed, if one did.
    """

    fact_id: str
    kind: str
    currency: str
    amount_minor: int
    state: BookingState
    ledger: str | None
    ledger_sequence: int | None
    failure_reason: str | None
    create_time: datetime
    decide_time: datetime | None


@dataclass(frozen=True, slots=True)
class PaymentBookings:
    """What the ledger shall know of one payment, in the order in which it was reported."""

    bookings: tuple[Booking, ...]

    @property
    def state(self) -> BookingState:
        """REFUSED if anything was refused, else PENDING while anything is open, else BOOKED."""
        states = {booking.state for booking in self.bookings}
        if BookingState.REFUSED in states:
            return BookingState.REFUSED
        return BookingState.PENDING if BookingState.PENDING in states else BookingState.BOOKED

    @property
    def last_ledger_sequence(self) -> int | None:
        """The highest ledger sequence booked so far."""
        return max((b.ledger_sequence for b in self.bookings if b.ledger_sequence), default=None)


class FactOutOfOrderError(Exception):
    """A fact was reported before the one it builds on, for example a capture without its hold."""

    def __init__(self, fact_id: str, requires: str) -> None:
        super().__init__(f"fact {fact_id} needs {requires}, which has not been reported")
        self.fact_id = fact_id
        self.requires = requires


async def enqueue(connection: AsyncConnection, fact: Fact, now: datetime) -> bool:
    """Reports `fact` to bookkeeping in the caller's transaction, without asking the ledger.

    `now` is the caller's clock.

    Returns False if the fact had been reported before. A second report that says something else
    (`effective_time` aside) is kept too, as a REFUSED row of its own for people to resolve, and
    blocks nothing. Raises FactOutOfOrderError if the fact it builds on was not reported.

    Facts of one subject are serialised by a lock that ends with the transaction: lock the payment
    first, report afterwards.
    """
    report = _report(fact, now)
    for _ in range(REPORT_TRIES):
        if (await connection.execute(_REPORT_FACT, report)).first() is not None:
            return True
        # Not inserted: look again with a snapshot taken after the subject's lock was had.
        known = await _known(connection, fact)
        if fact.id in known:
            if not _same(known[fact.id], to_json(fact)):
                await connection.execute(_REPORT_FACT, _conflict(report, fact))
            return False
        if fact.requires is not None and fact.requires not in known:
            raise FactOutOfOrderError(fact.id, fact.requires)
    raise AssertionError(f"fact {fact.id} can neither be inserted nor found")


async def booking_state(connection: AsyncConnection, payment_id: str) -> PaymentBookings:
    """What of the payment's facts is booked, pending or failed; empty if none was reported."""
    rows = await connection.execute(
        select(BOOKING)
        .where(BOOKING.c.payment_id == payment_id)
        .order_by(BOOKING.c.booking_number)
        .limit(MAX_FACTS_OF_A_PAYMENT)
    )
    return PaymentBookings(
        tuple(
            Booking(
                fact_id=row.fact_id,
                kind=row.kind,
                currency=row.fact["currency"],
                amount_minor=row.fact["amount_minor"],
                state=BookingState(row.state),
                ledger=row.ledger,
                ledger_sequence=row.ledger_sequence,
                failure_reason=row.failure_reason,
                create_time=row.create_time,
                decide_time=row.decide_time,
            )
            for row in rows
        )
    )


async def debits_moved(connection: AsyncConnection, payment_id: str) -> list[DebitMoved]:
    """What was reported of a payment's bank debits, however its banks have decided."""
    rows = await connection.execute(
        select(BOOKING.c.kind, BOOKING.c.fact)
        # By their ids: the row of a second report that differs has another.
        .where(BOOKING.c.payment_id == payment_id, BOOKING.c.fact_id.startswith("debit_moved."))
        .order_by(BOOKING.c.booking_number)
        .limit(MAX_FACTS_OF_A_PAYMENT)
    )
    facts = [from_json(row.kind, row.fact) for row in rows]
    return [fact for fact in facts if isinstance(fact, DebitMoved)]


async def time_reported(
    connection: AsyncConnection, payment_id: str, kind: type[Fact]
) -> datetime | None:
    """When the first fact of a kind that was reported of a payment happened; None without any."""
    rows = await connection.execute(
        select(BOOKING.c.effective_time)
        .where(BOOKING.c.payment_id == payment_id, BOOKING.c.kind == name_of(kind))
        .order_by(BOOKING.c.booking_number)
        .limit(1)
    )
    return rows.scalar_one_or_none()


def reported(fact: Fact, now: datetime) -> Booking:
    """A fact as `booking_state` shows it when it was reported and no more."""
    row = booking_row(fact, now, trace_parent())
    return Booking(
        fact_id=row["fact_id"],
        kind=row["kind"],
        currency=fact.currency,
        amount_minor=row["fact"]["amount_minor"],
        state=BookingState.PENDING,
        ledger=None,
        ledger_sequence=None,
        failure_reason=None,
        create_time=now,
        decide_time=None,
    )


async def _known(connection: AsyncConnection, fact: Fact) -> dict[str, dict[str, Any]]:
    """The contents reported under the fact's id and the id of the fact that it requires."""
    rows = await connection.execute(
        select(BOOKING.c.fact_id, BOOKING.c.fact).where(
            BOOKING.c.fact_id.in_([fact.id, fact.requires or fact.id])
        )
    )
    return {row.fact_id: row.fact for row in rows}


def booking_row(fact: Fact, now: datetime, traced: str | None) -> dict[str, Any]:
    """The columns of a fact that is reported now, as far as they differ from their defaults.

    `traced` is the W3C `traceparent` of where it comes from.
    """
    return {
        "fact_id": fact.id,
        "requires": fact.requires,
        "kind": kind_of(fact),
        "fact": to_json(fact),
        "subject": fact.subject,
        "payment_id": getattr(fact, "payment_id", None),
        "effective_time": fact.effective_time,
        "next_attempt_time": now,
        "create_time": now,
        "trace_parent": traced,
    }


def _report(fact: Fact, now: datetime) -> dict[str, Any]:
    return {
        **booking_row(fact, now, trace_parent()),
        "fact": json.dumps(to_json(fact)),
        "state": BookingState.PENDING,
        "failure_reason": None,
        "failure_message": None,
        "now": now,
        "channel": CHANNEL,
    }


def _conflict(report: dict[str, Any], fact: Fact) -> dict[str, Any]:
    """The row of a second, different report: one per differing content, outside the order."""
    content = json.dumps({**to_json(fact), "effective_time": None}, sort_keys=True)
    conflict = f"conflict.{hashlib.sha256(content.encode()).hexdigest()[:16]}.{fact.id}"
    return {
        **report,
        "fact_id": conflict,
        "subject": conflict,
        "state": BookingState.REFUSED,
        "failure_reason": "FACT_CONFLICT",
        "failure_message": f"fact {fact.id} was reported before with other content",
    }


def _same(known: dict[str, Any], reported: dict[str, Any]) -> bool:
    return {**known, "effective_time": None} == {**reported, "effective_time": None}
