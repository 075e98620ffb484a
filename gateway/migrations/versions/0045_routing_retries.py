"""Routing chooses payment methods and times of further attempts; verdicts on it are kept, and steps
say what they are about and why they were taken without a verdict."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0045"
down_revision = "0044"
oldest_code = "0021"  # tables more, and columns with defaults
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
