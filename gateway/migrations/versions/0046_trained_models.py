"""Models of routing that were trained offline: on what, how, by whom, and what they decided."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0046"
down_revision = "0045"
oldest_code = "0021"  # a table more, and columns that have a value without it
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
