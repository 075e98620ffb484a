"""Reports of what payouts contain and of what a balance is made of."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0037"
down_revision = "0036"
oldest_code = "0021"  # words more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
