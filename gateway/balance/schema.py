"""The tables of the balance sweep as SQLAlchemy sees them; migration 0009_balance makes them."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text

metadata = MetaData()

TRANSACTION = Table(
    "balance_transaction",
    metadata,
    Column("corridor", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    Column("part", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("available_time", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("last_failure", Text),
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
