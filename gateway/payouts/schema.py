"""The table of payouts as SQLAlchemy sees it; the migration 0010_disputes_payouts makes it."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, Table, Text

PAYOUT = Table(
    "payout",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("statement_descriptor", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("stripe_payout_id", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("arrival_time", DateTime(timezone=True)),
    Column("was_paid", Boolean, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)
