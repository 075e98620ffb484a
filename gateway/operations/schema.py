"""Operations on disputes and payouts as SQLAlchemy sees them; 0010_disputes_payouts makes them."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

# Notified when an operation was left for a worker.
CHANNEL = "gateway_stripe_operation"

metadata = MetaData()

OPERATION = Table(
    "stripe_operation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_account", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("send_count", Integer, nullable=False),
    Column("first_send_time", DateTime(timezone=True)),
    Column("last_send_time", DateTime(timezone=True)),
    Column("lease_until", DateTime(timezone=True)),
    Column("fencing_token", BigInteger, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("deadline", DateTime(timezone=True), nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("failure_param", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True)),
)

REQUEST = Table(
    "stripe_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("operation_id", Text),
    Column("refusal", JSONB),
    Column("create_time", DateTime(timezone=True), nullable=False),
)
