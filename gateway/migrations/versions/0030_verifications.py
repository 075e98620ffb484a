"""Verifications of people's identity by Stripe Identity."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0030"
down_revision = "0029"
oldest_code = "0021"  # tables more, that code of before need not know
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
