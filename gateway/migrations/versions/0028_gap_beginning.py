"""Where a gap of the database begins may be found to be earlier."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0028"
down_revision = "0027"
oldest_code = "0021"  # a right more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
