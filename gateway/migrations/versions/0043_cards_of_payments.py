"""What kind of card is behind a charge."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0043"
down_revision = "0042"
oldest_code = "0021"  # a column more, which may be NULL
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
