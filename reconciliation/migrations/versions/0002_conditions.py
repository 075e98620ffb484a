"""Breaks that are not of items, and who accepts one as it is."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
