"""Histories of the server that were seen, and whether what each may lack was looked for."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0048"
down_revision = "0047"
oldest_code = "0021"  # a table more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
