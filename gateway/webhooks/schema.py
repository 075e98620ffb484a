"""The tables of the inbox as SQLAlchemy sees them; migrations make them."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text

# Notified by intake, listened to by the workers.
CHANNEL = "gateway_webhook"

metadata = MetaData()

EVENT = Table(
    "webhook_event",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_account", Text),
    Column("event_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("created_time", DateTime(timezone=True), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("lease_until", DateTime(timezone=True)),
    Column("fencing_token", BigInteger, nullable=False),
    Column("last_failure", Text),
    Column("receive_time", DateTime(timezone=True), nullable=False),
    Column("finish_time", DateTime(timezone=True)),
)

DEAD_LETTER = Table(
    "webhook_dead_letter",
    metadata,
    Column("dead_letter_number", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("receive_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("replay_request_id", Text),
)

UNREADABLE = Table(
    "webhook_unreadable",
    metadata,
    Column("unreadable_number", BigInteger, primary_key=True),
    Column("broker", Text, nullable=False),
    Column("position", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
)
