"""What policies that judge beside the one in force have seen."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0008"
down_revision = "0007"
oldest_code = "0003"  # three tables more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
