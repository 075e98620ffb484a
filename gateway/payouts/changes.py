"""The feed of payouts, by the mechanism of `gateway/numbering.py`. Migration 0033_payout_feed makes
the table."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    Row,
    Table,
    Text,
    select,
)

from gateway.epochs import PAYOUT_NUMBERING_LOCK, FeedName
from gateway.numbering import NumberedFeed
from gateway.payouts.domain import Payout, PayoutState
from gateway.payouts.store import PAYOUT
from runtime.sql_files import columns_of, sql_statement

# Listened to by WatchPayouts.
CHANNEL = "gateway_payout"

CHANGE = Table(
    "payout_change",
    MetaData(),
    Column("sequence", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("stripe_payout_id", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("was_paid", Boolean, nullable=False),
    Column("method", Text, nullable=False),
    Column("source_type", Text, nullable=False),
    Column("destination_type", Text, nullable=False),
    Column("destination_id", Text, nullable=False),
    Column("reconciliation_status", Text, nullable=False),
    Column("trace_id_status", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("original_payout_id", Text, nullable=False),
    Column("reversed_by_payout_id", Text, nullable=False),
    Column("balance_transaction_id", Text, nullable=False),
    Column("failure_balance_transaction_id", Text, nullable=False),
    Column("primary_payout_id", Text, nullable=False),
    Column("content_complete", Boolean, nullable=False),
    Column("stripe_create_time", DateTime(timezone=True)),
    Column("arrival_time", DateTime(timezone=True)),
    Column("return_time", DateTime(timezone=True)),
    Column("update_time", DateTime(timezone=True), nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)
_OF_THE_CHANGE = ("sequence", "record_time")
# Of what can change, as the index payout_untold has it. Times as seconds: how they are written as a
# text depends on settings.
_WORDS = (
    *("state", "stripe_payout_id", "failure_code", "method", "destination_id"),
    *("reconciliation_status", "trace_id_status", "trace_id", "original_payout_id"),
    *("reversed_by_payout_id", "balance_transaction_id", "failure_balance_transaction_id"),
    *("primary_payout_id", "cast(content_complete AS text)"),
)
_TIMES = ("arrival_time", "return_time", "stripe_create_time")
_SINCE = "cast('1970-01-01Z' AS timestamptz)"
_SECONDS = f"cast(coalesce(extract(EPOCH FROM ({{}} - {_SINCE})), 0) AS text)"
SHOWN = " || ' ' || ".join([*_WORDS, *(_SECONDS.format(name) for name in _TIMES)])
_READ = (
    *CHANGE.columns,
    *(
        PAYOUT.c[name]
        for name in (
            *("request_id", "merchant_id", "account_id", "corridor", "currency"),
            *("amount_minor", "statement_descriptor", "create_time"),
        )
    ),
)
FEED = NumberedFeed(
    name="payout",
    epochs=FeedName.PAYOUTS,
    lock=PAYOUT_NUMBERING_LOCK,
    channel=CHANNEL,
    statement=sql_statement(
        __file__, "number_changes", columns=columns_of(CHANGE, without=_OF_THE_CHANGE), shown=SHOWN
    ),
    changes=CHANGE,
    # With what never changes.
    shown=select(*_READ).join_from(CHANGE, PAYOUT, PAYOUT.c.id == CHANGE.c.id),
)


def payout_of(row: Row[Any]) -> Payout:
    """The payout as it was with a change."""
    values = {name: value for name, value in row._mapping.items() if name not in _OF_THE_CHANGE}
    return Payout(**{**values, "state": PayoutState(values["state"])})
