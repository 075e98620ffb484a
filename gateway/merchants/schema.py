"""The tables of merchants as SQLAlchemy sees them; the migration 0002 makes them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

# Notified with each new snapshot, listened to by WatchMerchants.
CHANNEL = "gateway_merchant"

metadata = MetaData()

MERCHANT = Table(
    "merchant",
    metadata,
    Column("merchant_number", BigInteger, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_account_id", Text),
    Column("state", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("create_request_id", Text, nullable=False),
    Column("snapshot_sequence", BigInteger),
    Column("fetch_time", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)

SNAPSHOT = Table(
    "merchant_snapshot",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)

SNAPSHOT_COUNTER = Table(
    "merchant_snapshot_counter",
    metadata,
    Column("only_row", Boolean, primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
)

REQUEST = Table(
    "merchant_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("merchant_id", Text),
    Column("answer", LargeBinary),
    Column("failure", JSONB),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("answer_time", DateTime(timezone=True)),
)
