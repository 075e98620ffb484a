"""What matching adds is checked along keys, whatever the planner thinks of the tables."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
