"""Where payments went on that were not charged, as routing chose it, and what became of them."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0044"
down_revision = "0043"
oldest_code = "0021"  # tables more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
