"""Closed periods with their statements, and what came after they were closed."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
oldest_code = "0002"  # tables more


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
