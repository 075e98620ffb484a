"""Reads of a moment are final, and holds that are due count no more before that is recorded."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0007"
down_revision = "0006"
# A new nullable column and a better index. Reads of a moment are final once no older code commits.
oldest_code = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    # Holds that fall due at the same microsecond are walked in their order, not sorted each time.
    # What a run that was interrupted left behind is no index.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS holds_expiring")
        op.execute(
            "CREATE INDEX CONCURRENTLY holds_expiring ON holds (ledger_id, expire_time, sequence) "
            "WHERE remaining > 0 AND expire_time IS NOT NULL"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS holds_due")
