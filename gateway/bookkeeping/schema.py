"""The table of bookings as SQLAlchemy sees it; the migration 0003_bookings makes it."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

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
