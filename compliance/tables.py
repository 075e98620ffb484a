"""The tables, as queries see them; migrations are what makes them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

METADATA = MetaData()
_TIME = DateTime(timezone=True)

MUTATION = Table(
    "mutation",
    METADATA,
    Column("method", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("request", LargeBinary),
    Column("response", LargeBinary),
    Column("failure", LargeBinary),
    Column("record_time", _TIME),
)

SUBJECT = Table(
    "subject",
    METADATA,
    Column("subject_id", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("kind", Text),
    Column("legal_name", Text),
    Column("aliases", ARRAY(Text)),
    Column("entity_kind", Text),
    Column("birth_date", Text),
    Column("country_code", Text),
    Column("parent_subject_id", Text),
    Column("corridor", Text),
    Column("connected_account_id", Text),
    Column("state", Text),
    Column("kyc_state", Text),
    Column("kyc_verify_time", _TIME),
    Column("kyc_expire_time", _TIME),
    Column("revision", BigInteger),
    Column("profile_revision", BigInteger),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
)

SUBJECT_CHANGE = Table(
    "subject_change",
    METADATA,
    Column("subject_id", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("change", Text),
    Column("note", Text),
    Column("client", Text),
    Column("content", JSONB),
    Column("record_time", _TIME),
)

ACCOUNT_SNAPSHOT = Table(
    "account_snapshot",
    METADATA,
    Column("connected_account_id", Text, primary_key=True),
    Column("content_hash", Text, primary_key=True),
    Column("content", JSONB),
    Column("record_time", _TIME),
)

ACCOUNT_LATEST = Table(
    "account_latest",
    METADATA,
    Column("connected_account_id", Text, primary_key=True),
    Column("corridor", Text),
    Column("gateway_merchant_id", Text),
    Column("content_hash", Text),
    Column("fetch_time", _TIME),
)

MERCHANT_WATCH = Table(
    "merchant_watch",
    METADATA,
    Column("only_row", Boolean, primary_key=True),
    Column("epoch", BigInteger),
    Column("sequence", BigInteger),
)

ACCOUNT_REQUIREMENT = Table(
    "account_requirement",
    METADATA,
    Column("connected_account_id", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("severity", SmallInteger),
    Column("deadline_time", _TIME),
    Column("content", JSONB),
)

LIST_VERSION = Table(
    "list_version",
    METADATA,
    Column("list", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("state", Text),
    Column("checksum", LargeBinary),
    Column("entry_count", Integer),
    Column("added_count", Integer),
    Column("changed_count", Integer),
    Column("removed_count", Integer),
    Column("create_time", _TIME),
    Column("activate_time", _TIME),
    Column("confirm_time", _TIME),
    Column("quantities", JSONB),
)

LIST_ENTRY = Table(
    "list_entry",
    METADATA,
    Column("list", Text, primary_key=True),
    Column("entry_id", Text, primary_key=True),
    Column("first_version", BigInteger, primary_key=True),
    Column("last_version", BigInteger),
    Column("content_hash", Text),
    Column("content", JSONB),
)

LIST_ATTEMPT = Table(
    "list_attempt",
    METADATA,
    Column("list", Text, primary_key=True),
    Column("attempt_time", _TIME),
    Column("defect", Text),
)

SCREENING = Table(
    "screening",
    METADATA,
    Column("subject_id", Text, primary_key=True),
    Column("list", Text, primary_key=True),
    Column("profile_revision", BigInteger),
    Column("list_version", BigInteger),
    Column("screen_time", _TIME),
    Column("rules_version", SmallInteger),
    Column("is_comparable", Boolean),
)

MATCH = Table(
    "match",
    METADATA,
    Column("match_id", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("subject_id", Text),
    Column("list", Text),
    Column("entry_id", Text),
    Column("entry_hash", Text),
    Column("entry_name", Text),
    Column("programs", ARRAY(Text)),
    Column("score", Float),
    Column("explanation", JSONB),
    Column("state", Text),
    Column("decision_note", Text),
    Column("profile_revision", BigInteger),
    Column("list_version", BigInteger),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
)

MATCH_CHANGE = Table(
    "match_change",
    METADATA,
    Column("change_id", BigInteger, primary_key=True),
    Column("match_id", Text),
    Column("state", Text),
    Column("note", Text),
    Column("client", Text),
    Column("record_time", _TIME),
)

POLICY_VERSION = Table(
    "policy_version",
    METADATA,
    Column("policy_version", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("state", Text),
    Column("document", Text),
    Column("content_hash", LargeBinary),
    Column("create_time", _TIME),
    Column("activate_time", _TIME),
)

POLICY_SHADOW = Table(
    "policy_shadow",
    METADATA,
    Column("policy_version", Text, primary_key=True),
    Column("judged_count", BigInteger),
    Column("unreadable_count", BigInteger),
    Column("through_sequence", BigInteger),
)

POLICY_SHADOW_CHANGE = Table(
    "policy_shadow_change",
    METADATA,
    Column("policy_version", Text, primary_key=True),
    Column("decided", Text, primary_key=True),
    Column("candidate", Text, primary_key=True),
    Column("currency_code", Text, primary_key=True),
    Column("decision_count", BigInteger),
    Column("amount_minor", Numeric),
)

POLICY_SHADOW_DECISION = Table(
    "policy_shadow_decision",
    METADATA,
    Column("policy_version", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("judged", Text),
)

DECISION = Table(
    "decision",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("record", Text),
    Column("request", LargeBinary),
    Column("previous_hash", LargeBinary),
    Column("hash", LargeBinary),
    Column("decision_id", Text),
    Column("kind", Text),
    Column("request_id", Text),
    Column("reference_id", Text),
    Column("merchant_id", Text),
    Column("verdict", Text),
    Column("record_time_us", BigInteger),
)

ACCOUNT_CHANGE = Table(
    "account_change",
    METADATA,
    Column("change_id", BigInteger, primary_key=True),
    Column("connected_account_id", Text),
    Column("content_hash", Text),
    Column("fetch_time", _TIME),
    Column("retry_time", _TIME),
)

FREEZE_WATCH = Table(
    "freeze_watch",
    METADATA,
    Column("connected_account_id", Text, primary_key=True),
    Column("content_hash", Text),
    Column("look_time", _TIME),
)

REQUIREMENT_SPAN = Table(
    "requirement_span",
    METADATA,
    Column("span_id", BigInteger, primary_key=True),
    Column("connected_account_id", Text),
    Column("field", Text),
    Column("stage", Text),
    Column("begin_time", _TIME),
    Column("end_time", _TIME),
    Column("became", Text),
)

MERCHANT_VOLUME = Table(
    "merchant_volume",
    METADATA,
    Column("merchant_id", Text, primary_key=True),
    Column("currency_code", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("amount_minor", Numeric),
    Column("payment_count", BigInteger),
)

FREEZE_FORECAST = Table(
    "freeze_forecast",
    METADATA,
    Column("forecast_id", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("connected_account_id", Text),
    Column("merchant_id", Text),
    Column("kind", Text),
    Column("outcome", Text),
    Column("appear_time", _TIME),
    Column("end_time", _TIME),
    Column("expected_time", _TIME),
    Column("is_alarm", Boolean),
    Column("was_alarm", Boolean),
    Column("episode", JSONB),
    Column("money", JSONB),
)

FREEZE_FORECAST_CHANGE = Table(
    "freeze_forecast_change",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("forecast_id", Text),
    Column("change", Text),
    Column("episode", JSONB),
    Column("money", JSONB),
    Column("record_time", _TIME),
)

ACCOUNT_FREEZE = Table(
    "account_freeze",
    METADATA,
    Column("connected_account_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("stop_time", _TIME, primary_key=True),
    Column("merchant_id", Text),
    Column("disabled_reason", Text),
    Column("alarm_time", _TIME),
)

FREEZE_PROGRESS = Table(
    "freeze_progress",
    METADATA,
    Column("only_row", Boolean, primary_key=True),
    Column("decision_sequence", BigInteger),
)

REVIEW_CASE = Table(
    "review_case",
    METADATA,
    Column("case_id", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("state", Text),
    Column("kind", Text),
    Column("reference_id", Text),
    Column("merchant_id", Text),
    Column("customer_id", Text),
    Column("scope", Text),
    Column("revision", BigInteger),
    Column("assignee", Text),
    Column("first_approver", Text),
    Column("decision_id", Text),
    Column("corridor", Text),
    Column("check_time", _TIME),
    Column("open_time", _TIME),
    Column("expire_time", _TIME),
    Column("close_time", _TIME),
    Column("closed_by", Text),
    Column("close_note", Text),
    Column("ruling", Text),
)

CASE_EVENT = Table(
    "case_event",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("case_id", Text),
    Column("event", Text),
    Column("revision", BigInteger),
    Column("scope", Text),
    Column("client", Text),
    Column("note", Text),
    Column("record_time", _TIME),
)

COLLECTION_WATCH = Table(
    "collection_watch",
    METADATA,
    Column("connected_account_id", Text, primary_key=True),
    Column("change_count", BigInteger),
    Column("look_time", _TIME),
)

REQUIREMENT_NOTICE = Table(
    "requirement_notice",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("connected_account_id", Text),
    Column("merchant_id", Text),
    Column("kind", Text),
    Column("content", JSONB),
    Column("record_time", _TIME),
)

NOTICE_MAIL = Table(
    "notice_mail",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("connected_account_id", Text),
    Column("state", Text),
    Column("attempt_count", Integer),
    Column("next_attempt_time", _TIME),
    Column("failure", Text),
)

NOTICE_ADDRESS = Table(
    "notice_address",
    METADATA,
    Column("merchant_id", Text, primary_key=True),
    Column("email_address", Text),
    Column("update_time", _TIME),
)

COLLECTION_PROGRESS = Table(
    "collection_progress",
    METADATA,
    Column("only_row", Boolean, primary_key=True),
)

DOCUMENT = Table(
    "document",
    METADATA,
    Column("document_id", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("merchant_id", Text),
    Column("connected_account_id", Text),
    Column("field", Text),
    Column("person_id", Text),
    Column("side", Text),
    Column("with_other_side", Boolean),
    Column("purpose", Text),
    Column("content_type", Text),
    Column("size_bytes", Integer),
    Column("sealed", LargeBinary),
    Column("state", Text),
    Column("refusal", Text),
    Column("error_codes", ARRAY(Text)),
    Column("file_id", Text),
    Column("forward_count", Integer),
    Column("attach_count", Integer),
    Column("failure", Text),
    Column("failure_count", Integer),
    Column("fence", BigInteger),
    Column("next_attempt_time", _TIME),
    Column("create_time", _TIME),
    Column("state_time", _TIME),
    Column("attach_time", _TIME),
    Column("destroy_time", _TIME),
)

OUTCOME_WATCH = Table(
    "outcome_watch",
    METADATA,
    Column("only_row", Boolean, primary_key=True),
    Column("epoch", BigInteger),
    Column("sequence", BigInteger),
    Column("follow_time", _TIME),
)

PAYMENT_OUTCOME = Table(
    "payment_outcome",
    METADATA,
    Column("payment_id", Text, primary_key=True),
    Column("epoch", BigInteger),
    Column("sequence", BigInteger),
    Column("merchant_id", Text),
    Column("currency_code", Text),
    Column("day", Date),
    Column("captured_minor", BigInteger),
    Column("refunds", Text),
)

DISPUTE_OUTCOME = Table(
    "dispute_outcome",
    METADATA,
    Column("dispute_id", Text, primary_key=True),
    Column("payment_id", Text),
    Column("merchant_id", Text),
    Column("currency_code", Text),
    Column("day", Date),
    Column("amount_minor", BigInteger),
    Column("is_chargeback", Boolean),
)

MERCHANT_RATES = Table(
    "merchant_rates",
    METADATA,
    Column("merchant_id", Text, primary_key=True),
    Column("day", Date),
    Column("figures", JSONB),
)

VERIFICATION = Table(
    "verification",
    METADATA,
    Column("verification_id", Text, primary_key=True),
    Column("ordinal", BigInteger),
    Column("subject_id", Text),
    Column("type", Text),
    Column("state", Text),
    Column("error_code", Text),
    Column("redaction", Text),
    Column("with_selfie", Boolean),
    Column("stripe_session_id", Text),
    Column("verify_time", _TIME),
    Column("create_time", _TIME),
    Column("update_time", _TIME),
    Column("epoch", BigInteger),
    Column("sequence", BigInteger),
)

SUBJECT_IDENTITY = Table(
    "subject_identity",
    METADATA,
    Column("subject_id", Text, primary_key=True),
    Column("content", JSONB),
)

VERIFICATION_WATCH = Table(
    "verification_watch",
    METADATA,
    Column("only_row", Boolean, primary_key=True),
    Column("epoch", BigInteger),
    Column("sequence", BigInteger),
)
