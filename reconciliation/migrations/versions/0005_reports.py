"""Comparisons of Stripe's reports with its API, and what differed."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
