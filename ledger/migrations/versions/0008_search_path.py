"""Triggers look names up where nobody can put others in their place."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0008"
down_revision = "0007"
oldest_code = "0005"  # no older code makes temporary tables
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
