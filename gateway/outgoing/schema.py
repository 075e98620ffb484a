"""The tables as SQLAlchemy sees them; the migration of webhook endpoints makes them."""

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
from sqlalchemy.dialects.postgresql import ARRAY

# Notified when deliveries were made, or put back.
DELIVERY_CHANNEL = "gateway_webhook_delivery"

_metadata = MetaData()
_TIME = DateTime(timezone=True)

ENDPOINT = Table(
    "webhook_endpoint",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text),
    Column("description", Text),
    Column("merchant_id", Text),
    Column("transitions", ARRAY(Text)),
    Column("max_in_flight", Integer),
    Column("state", Text),
    Column("disable_cause", Text),
    Column("dispatched_sequence", BigInteger),
    Column("failing_since", _TIME),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
)

SECRET = Table(
    "webhook_endpoint_secret",
    _metadata,
    Column("secret_number", BigInteger, primary_key=True),
    Column("endpoint_id", Text),
    Column("sealed", LargeBinary),
    Column("request_id", Text),
    Column("create_time", _TIME),
    Column("expire_time", _TIME),
)

DELIVERY = Table(
    "webhook_delivery",
    _metadata,
    Column("delivery_number", BigInteger, primary_key=True),
    Column("endpoint_id", Text),
    Column("sequence", BigInteger),
    Column("payment_id", Text),
    Column("state", Text),
    Column("attempts", Integer),
    Column("next_attempt_time", _TIME),
    Column("lease_until", _TIME),
    Column("fencing_token", BigInteger),
    Column("last_http_status", Integer),
    Column("last_failure", Text),
    Column("create_time", _TIME),
    Column("end_time", _TIME),
)

REQUEST = Table(
    "webhook_endpoint_request",
    _metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text),
    Column("body", LargeBinary),
    Column("endpoint_id", Text),
    Column("create_time", _TIME),
)
