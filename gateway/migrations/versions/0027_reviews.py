"""Payments whose customers do not wait for people."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0027"
down_revision = "0026"
oldest_code = "0021"  # a new column with a constant default
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
