"""The tables of customers as SQLAlchemy sees them; the migration 0008 makes them."""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

CUSTOMER = Table(
    "customer",
    metadata,
    Column("customer_number", BigInteger, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_customer_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("default_payment_method", Text, nullable=False),
    Column("create_request_id", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)

REQUEST = Table(
    "customer_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("subject_id", Text),
    Column("answer", LargeBinary),
    Column("failure", JSONB),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("answer_time", DateTime(timezone=True)),
)
