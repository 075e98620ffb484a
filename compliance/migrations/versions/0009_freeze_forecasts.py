"""Freeze forecasts, what became of them, and what they are learnt from."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0009"
down_revision = "0008"
oldest_code = "0003"  # tables more, and a trigger that code of before need not know
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
