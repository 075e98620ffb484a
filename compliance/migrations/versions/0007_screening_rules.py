"""A screening says by which rules it was made, and whether there was anything to compare."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0007"
down_revision = "0006"
oldest_code = "0003"  # new columns with constant defaults
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    # Whom older rules screened is looked for every few seconds.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS screening_by_rules")
        op.execute(
            "CREATE INDEX CONCURRENTLY screening_by_rules ON screening (list, rules_version)"
        )
