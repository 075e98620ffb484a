"""What moved for a dispute and for a refund, apart from their states."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
