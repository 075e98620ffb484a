"""What a payment is charged to, and the mandate that its customer accepts with it."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0022"
down_revision = "0021"
oldest_code = "0021"  # new columns, one with a default: code up to 0021 goes on
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
