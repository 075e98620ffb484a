"""The feed of balance transactions, and what payouts contain."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0032"
down_revision = "0031"
oldest_code = "0021"  # a table and indexes more, columns with constant defaults
branch_labels = None
depends_on = None

# Of tables that are written and may be long.
_INDEXES = {
    # As gateway/balance/sql/number_changes.sql asks for them.
    "balance_transaction_untold": (
        "balance_transaction (create_time, id) WHERE told IS DISTINCT FROM"
        " state || ' ' || part || ' ' || coalesce(last_failure, '') || ' ' || stripe_payout_id"
    ),
    "balance_transaction_made": "balance_transaction (create_time)",
    "balance_transaction_payout": (
        "balance_transaction (stripe_payout_id) WHERE stripe_payout_id <> ''"
    ),
    "payout_to_read": (
        "payout (corridor, id) WHERE content_time IS NULL AND automatic"
        " AND reconciliation_status = 'completed' AND account_id = ''"
    ),
}
_UNIQUE = {"balance_transaction_listed": "balance_transaction (first_sequence)"}


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    # One that an earlier try left behind is not whole.
    with op.get_context().autocommit_block():
        for kind, indexes in (("INDEX", _INDEXES), ("UNIQUE INDEX", _UNIQUE)):
            for name, columns in indexes.items():
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                op.execute(f"CREATE {kind} CONCURRENTLY {name} ON {columns}")
