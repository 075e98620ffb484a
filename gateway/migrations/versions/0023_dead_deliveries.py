"""An index of the deliveries that were given up."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0023"
down_revision = "0022"
oldest_code = "0021"  # an index more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
