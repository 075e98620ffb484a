"""Foresight: what processes see of corridors each minute, what is foreseen of them, and alarms."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0041"
down_revision = "0040"
oldest_code = "0021"  # tables more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
