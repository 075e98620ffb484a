"""What came out of a broker and is no event."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
