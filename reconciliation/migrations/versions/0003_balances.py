"""Stripe's balances, as they were found."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
