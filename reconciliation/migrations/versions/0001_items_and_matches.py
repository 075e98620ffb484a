"""Items, what is matched and what differs, and every change of either."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
