"""The feed of payouts, and which payouts Stripe split."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0033"
down_revision = "0032"
oldest_code = "0021"  # a table and indexes more, columns with constant defaults
branch_labels = None
depends_on = None

# As gateway/payouts/changes.py asks for them.
_SINCE = "cast('1970-01-01Z' AS timestamptz)"
_SHOWN = " || ' ' || ".join(
    (
        *("state", "stripe_payout_id", "failure_code", "method", "destination_id"),
        *("reconciliation_status", "trace_id_status", "trace_id", "original_payout_id"),
        *("reversed_by_payout_id", "balance_transaction_id", "failure_balance_transaction_id"),
        *("primary_payout_id", "cast(content_complete AS text)"),
        f"cast(coalesce(extract(EPOCH FROM (arrival_time - {_SINCE})), 0) AS text)",
        f"cast(coalesce(extract(EPOCH FROM (return_time - {_SINCE})), 0) AS text)",
        f"cast(coalesce(extract(EPOCH FROM (stripe_create_time - {_SINCE})), 0) AS text)",
    )
)
_UNTOLD = f"payout (create_time, id) WHERE told IS DISTINCT FROM {_SHOWN}"
_DAY = (
    "payout (corridor, currency, arrival_time)"
    " WHERE automatic AND account_id = '' AND stripe_payout_id <> ''"
)
# Of a table that is written and may be long.
_INDEXES = {"payout_untold": _UNTOLD, "payout_of_a_run": _DAY}


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    # One that an earlier try left behind is not whole.
    with op.get_context().autocommit_block():
        for name, columns in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
