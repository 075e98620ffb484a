"""The table of disputes as SQLAlchemy sees it; the migration 0010_disputes_payouts makes it."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text

DISPUTE = Table(
    "dispute",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_dispute_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("network_cause", Text, nullable=False),
    Column("is_held", Boolean, nullable=False),
    Column("was_lost", Boolean, nullable=False),
    Column("look_time", DateTime(timezone=True), nullable=False),
    Column("fee_minor", BigInteger),
    Column("fee_currency", Text, nullable=False),
    Column("evidence_due_time", DateTime(timezone=True)),
    Column("submission_count", Integer, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)
