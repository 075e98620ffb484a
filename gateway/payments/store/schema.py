"""The tables as SQLAlchemy sees them; the migrations make them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

# Notified when events got their sequence.
EVENT_CHANNEL = "gateway_payment_event"

_metadata = MetaData()
_TIME = DateTime(timezone=True)
# A missing value is SQL's NULL, not JSON's.
_JSON = JSONB(none_as_null=True)

PAYMENT = Table(
    "payment",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text),
    Column("request_metadata", _JSON),
    Column("merchant_id", Text),
    Column("customer_id", Text),
    Column("corridor", Text),
    Column("state", Text),
    Column("currency", Text),
    Column("amount_minor", BigInteger),
    Column("payment_method", Text),
    Column("payment_method_customer", Text),
    Column("payment_method_type", Text),
    Column("mandate_acceptance", _JSON),
    Column("capture_method", Text),
    Column("off_session", Boolean),
    Column("return_url", Text),
    Column("unavailable_policy", Text),
    Column("queue_timeout", Interval),
    Column("description", Text),
    Column("statement_descriptor_suffix", Text),
    Column("metadata", _JSON),
    Column("destination_account", Text),
    Column("application_fee_minor", BigInteger),
    Column("billing_country", Text),
    Column("stays", Boolean),
    Column("fails_in_review", Boolean),
    Column("routes", _JSON),
    Column("left_corridors", _JSON),
    Column("save_payment_method", Boolean),
    Column("decline_retry", _JSON),
    Column("decline_count", Integer),
    Column("customer_returned", Boolean),
    Column("authorized_minor", BigInteger),
    Column("captured_minor", BigInteger),
    Column("refunded_minor", BigInteger),
    Column("refunding_minor", BigInteger),
    Column("disputed_minor", BigInteger),
    Column("application_fee_captured_minor", BigInteger),
    Column("application_fee_refunded_minor", BigInteger),
    Column("application_fee_refunded_currency", Text),
    Column("transfer_reversed_minor", BigInteger),
    Column("transfer_reversed_currency", Text),
    Column("fee_minor", BigInteger),
    Column("fee_currency", Text),
    Column("payment_intent_id", Text),
    Column("charge_id", Text),
    Column("capture_time", _TIME),
    Column("hold_id", Text),
    Column("radar_outcome", _JSON),
    Column("card_fingerprint", Text),
    Column("card", _JSON),
    Column("three_d_secure", _JSON),
    Column("decline", _JSON),
    Column("failure", _JSON),
    Column("next_action", _JSON),
    Column("compliance", _JSON),
    Column("queue_reason", Text),
    Column("queue_deadline", _TIME),
    Column("capture_before", _TIME),
    Column("wake_time", _TIME),
    Column("revision", BigInteger),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
)

REFUND = Table(
    "payment_refund",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text),
    Column("payment_id", Text),
    Column("state", Text),
    Column("amount_minor", BigInteger),
    Column("cause", Text),
    Column("stripe_refund_id", Text),
    Column("failure_code", Text),
    Column("pending_reason", Text),
    Column("balance", Text),
    Column("untaken", Boolean),
    Column("unreturned", Boolean),
    Column("reverse_transfer", Boolean),
    Column("refund_application_fee", Boolean),
    Column("take_time", _TIME),
    Column("return_time", _TIME),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
)

# What a refund needs of disputes, which `gateway/disputes` writes.
DISPUTE = Table("dispute", _metadata, Column("payment_id", Text), Column("state", Text))

REQUEST = Table(
    "payment_request",
    _metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text),
    Column("body", LargeBinary),
    Column("payment_id", Text),
    Column("operation_id", Text),
    Column("refund_id", Text),
    Column("refusal", _JSON),
    Column("fingerprint", Text),
    Column("create_time", _TIME),
)

DECLINE = Table(
    "payment_decline",
    _metadata,
    Column("decline_number", BigInteger, primary_key=True),
    Column("payment_id", Text),
    Column("attempt", Integer),
    Column("corridor", Text),
    Column("payment_method", Text),
    Column("card_fingerprint", Text),
    Column("charge_id", Text),
    Column("decline", _JSON),
    Column("decline_time", _TIME),
)

EVENT = Table(
    "payment_event",
    _metadata,
    Column("event_number", BigInteger, primary_key=True),
    Column("sequence", BigInteger),
    Column("payment_id", Text),
    Column("merchant_id", Text),
    Column("revision", BigInteger),
    Column("transition", Text),
    Column("previous_state", Text),
    Column("snapshot", LargeBinary),
    Column("record_time", _TIME),
)


def _choice_columns() -> list[Column[Any]]:
    """What routing believed, drew and did."""
    return [
        Column("merchant_id", Text),
        Column("mode", Text),
        Column("arm", Text),
        Column("share", Double),
        Column("corridor", Text),
        Column("propensity", Double),
        Column("action", Text),
        Column("seed", BigInteger),
        Column("explored", Boolean),
        Column("model_version", Text),
        Column("trained_version", Text),
        Column("policy_hash", Text),
        Column("features_hash", Text),
        Column("region", Text),
        Column("network", Text),
        Column("slots", _JSON),
        Column("scores", _JSON),
        Column("excluded", _JSON),
        Column("decide_time", _TIME),
        Column("method", Integer),
        Column("action_method", Integer),
    ]


# Written with a payment that routing had a say about; `gateway/routing_service` learns from it.
ROUTING_DECISION = Table(
    "routing_decision",
    _metadata,
    Column("payment_id", Text, primary_key=True),
    *_choice_columns(),
)

# The same of where a payment went on that was not charged where it was; `hop` is how many
# corridors it had left by then.
ROUTING_FAILOVER = Table(
    "routing_failover",
    _metadata,
    Column("payment_id", Text, primary_key=True),
    Column("hop", Integer, primary_key=True),
    *_choice_columns(),
)

# The same of when a declined payment is tried again; `attempt` is the one that was declined, and
# options are named by day and hour.
ROUTING_RETRY = Table(
    "routing_retry",
    _metadata,
    Column("payment_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("merchant_id", Text),
    Column("mode", Text),
    Column("arm", Text),
    Column("share", Double),
    Column("option", Text),
    Column("propensity", Double),
    Column("action", Text),
    Column("seed", BigInteger),
    Column("explored", Boolean),
    Column("model_version", Text),
    Column("policy_hash", Text),
    Column("features_hash", Text),
    Column("region", Text),
    Column("kind", Text),
    Column("slots", _JSON),
    Column("scores", _JSON),
    Column("retry_time", _TIME),
    Column("latest_time", _TIME),
    Column("decide_time", _TIME),
)

# What CreatePayment wrote never changes.
FIXED_OF_PAYMENT = frozenset(
    {
        *("id", "request_id", "request_metadata", "merchant_id", "customer_id"),
        *("currency", "amount_minor", "payment_method_type", "mandate_acceptance"),
        *("capture_method", "off_session", "save_payment_method", "decline_retry"),
        *("unavailable_policy", "queue_timeout", "description", "statement_descriptor_suffix"),
        *("metadata", "application_fee_minor", "billing_country", "stays", "routes"),
        "fails_in_review",
        "create_time",
    }
)
