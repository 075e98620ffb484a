"""When the feeds that items come from were last known to be open."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
