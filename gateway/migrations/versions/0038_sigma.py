"""Runs of queries that are scheduled in Stripe Sigma; since when walks over Billing are known."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0038"
down_revision = "0037"
oldest_code = "0021"  # tables more, and a column that fills itself
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
