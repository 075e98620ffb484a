"""Routing's tables as SQLAlchemy sees them; the migrations make them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from gateway.payments.store.schema import ROUTING_DECISION, ROUTING_FAILOVER, ROUTING_RETRY

DECISION = ROUTING_DECISION
FAILOVER = ROUTING_FAILOVER
RETRY = ROUTING_RETRY
_TIME = DateTime(timezone=True)
_metadata = MetaData()


def _outcome_columns() -> list[Column[Any]]:
    return [
        Column("arm", Text),
        Column("corridor", Text),
        Column("region", Text),
        Column("cause", Text),
        Column("was_unknown", Boolean),
        Column("learn_time", _TIME),
    ]


OUTCOME = Table(
    "routing_outcome",
    _metadata,
    Column("payment_id", Text, primary_key=True),
    *_outcome_columns(),
)
FAILOVER_OUTCOME = Table(
    "routing_failover_outcome",
    _metadata,
    Column("payment_id", Text, primary_key=True),
    Column("hop", Integer, primary_key=True),
    *_outcome_columns(),
)
RETRY_OUTCOME = Table(
    "routing_retry_outcome",
    _metadata,
    Column("payment_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("arm", Text),
    Column("cause", Text),
    Column("learn_time", _TIME),
)
MODEL = Table(
    "routing_model",
    _metadata,
    Column("version", Text, primary_key=True),
    Column("model_number", BigInteger),
    Column("state", LargeBinary),
    Column("learned", BigInteger),
    Column("code_version", Text),
    Column("create_time", _TIME),
)
# Of the models that were trained offline.
TRAINING = Table(
    "routing_training",
    _metadata,
    Column("version", Text, primary_key=True),
    Column("training_number", BigInteger),
    Column("provenance", JSONB),
    Column("truncated", Boolean),
    Column("client", Text),
    Column("create_time", _TIME),
)
LEARNER = Table(
    "routing_learner",
    _metadata,
    Column("only_one", Boolean, primary_key=True),
    Column("sequence", BigInteger),
    Column("model_version", Text),
    Column("round_time", _TIME),
)
STEP = Table(
    "routing_step",
    _metadata,
    Column("step_number", BigInteger, primary_key=True),
    Column("step", Text),
    Column("model_version", Text),
    Column("client", Text),
    Column("reason", Text),
    Column("evidence", JSONB),
    Column("step_time", _TIME),
    Column("subject", Text),
    Column("judgement_number", BigInteger),
    Column("override_reason", Text),
)
JUDGEMENT = Table(
    "routing_judgement",
    _metadata,
    Column("judgement_number", BigInteger, primary_key=True),
    Column("subject", Text),
    Column("candidate", Text),
    Column("model_version", Text),
    Column("policy_hash", Text),
    Column("accepted", Boolean),
    Column("refusals", JSONB),
    Column("decision_count", BigInteger),
    Column("gain", Double),
    Column("gain_low", Double),
    Column("gain_high", Double),
    Column("looks", Integer),
    Column("since_time", _TIME),
    Column("until_time", _TIME),
    Column("client", Text),
    Column("judge_time", _TIME),
)
REQUEST = Table(
    "routing_request",
    _metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text),
    Column("body", LargeBinary),
    Column("create_time", _TIME),
    Column("trained_version", Text),
)
