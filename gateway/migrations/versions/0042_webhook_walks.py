"""Until when the database has the events of each Stripe account."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0042"
down_revision = "0041"
oldest_code = "0021"  # a table more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
