"""Fees of items, and where they are not as they should be."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
